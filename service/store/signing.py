"""Signatures between systems: the Standard Webhooks scheme, for what we send and what we are sent."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook

from service.domain.errors import Kind, Refusal

REPLAY_WINDOW = timedelta(minutes=5)  # Standard Webhooks, "Verifying timestamps": the libraries' tolerance
SECRET_BYTES_MIN = 24  # Standard Webhooks, "Signature scheme": 24 bytes (192 bits) to 64 bytes
SECRET_BYTES_MAX = 64
SECRETS_MAX = 2  # the one in force and, while it rotates, the one before
MESSAGE_ID_CHARS_MAX = 256  # choice
SIGNATURES_MAX = 8  # choice: a sender that rotates signs with two


class SignatureRefused(Refusal):
    """We cannot tell that this came from the system it says, or it came too late."""

    kind = Kind.UNAUTHENTICATED

    def __init__(self, reason: str) -> None:
        super().__init__("signature_refused", zh="签名校验未通过", en="The signature does not hold", reason=reason)


def require_secret(secret: str) -> str:
    """A secret that can sign: `whsec_` and 24 to 64 bytes in base64.

    Raises:
        ValueError: anything else; the text never repeats the secret.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a signing secret is whsec_ followed by base64") from None
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(f"a signing secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, not {len(key)}")
    return secret


def signed_headers(*, secret: str, message_id: str, at: datetime, body: str) -> dict[str, str]:
    """The three headers that let the receiver check who sent this body and when."""
    moment = at.astimezone(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body),
    }


def require_signature(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: datetime) -> str:
    """Check a signed request before anything in it is believed.

    Args:
        headers: names in any case; `webhook-id`, `webhook-timestamp` and `webhook-signature` are read.
        body: the bytes as they came, before any parsing.
        secrets: one, or two while the secret rotates; whichever signed is good.
        now: to the second, at most five minutes from the sender's instant on either side.

    Returns:
        the message's id: whoever acts on it must refuse to act on it twice (within and beyond the window).

    Raises:
        SignatureRefused: a header is missing or malformed, the instant is outside the window, no signature holds.
    """
    assert 1 <= len(secrets) <= SECRETS_MAX, "an endpoint has one secret, or two while it rotates"
    named = {name.lower(): value for name, value in headers.items()}
    message_id = _require_message_id(named.get("webhook-id", ""))
    moment = _require_recent(named.get("webhook-timestamp", ""), now=now)
    given = _signatures(named.get("webhook-signature", ""))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureRefused("body_not_utf8") from None
    wanted = [Webhook(secret).sign(message_id, moment, text).encode() for secret in secrets]
    # Every pair is compared: how long it takes says nothing about which secret or which part was right.
    held = [hmac.compare_digest(one, other) for one in given for other in wanted]
    if not any(held):
        raise SignatureRefused("no_signature_holds")
    return message_id


def _require_message_id(message_id: str) -> str:
    if not message_id or len(message_id) > MESSAGE_ID_CHARS_MAX or not message_id.isprintable():
        raise SignatureRefused("webhook_id_missing")
    return message_id


def _require_recent(timestamp: str, *, now: datetime) -> datetime:
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 11):  # up to the year 5138
        raise SignatureRefused("webhook_timestamp_missing")
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(timestamp))
    whole_second = now.astimezone(UTC).replace(microsecond=0)
    if moment < whole_second - REPLAY_WINDOW:
        raise SignatureRefused("webhook_timestamp_too_old")
    if moment > whole_second + REPLAY_WINDOW:
        raise SignatureRefused("webhook_timestamp_too_new")
    return moment


def _signatures(header: str) -> list[bytes]:
    """The `v1` signatures, as they stand: `v1,<base64>`; those of other versions are not ours to judge."""
    given = header.split(" ")[:SIGNATURES_MAX]
    return [signature.encode(errors="replace") for signature in given if signature.startswith("v1,")]

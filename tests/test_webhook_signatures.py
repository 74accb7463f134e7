"""What comes and goes signed: our signatures are everybody's, and what is unsigned, old or garbled is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from service.store.payments import CallbackMalformed, GatewayStatus, verify_callback
from service.store.signing import SignatureRefused, require_secret, require_signature, signed_headers

VECTORS = json.loads((Path(__file__).parent / "vectors" / "standard_webhooks.json").read_text())

NOW = datetime(2026, 5, 20, 9, 30, 0, 123_456, tzinfo=UTC)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

OTHER_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"

BODY = '{"refund_id": "r-1", "status": "succeeded", "key": "k-1", "amount_fen": 1999}'


def signed(body: str = BODY, *, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    return signed_headers(secret=secret, message_id="evt-1", at=at, body=body)


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["sign_vectors"])
def test_we_sign_as_the_other_libraries_do(vector: dict[str, str]) -> None:
    """The vector that every library of Standard Webhooks shares."""
    at = datetime.fromtimestamp(int(vector["timestamp"]), UTC)

    headers = signed_headers(secret=vector["secret"], message_id=vector["msg_id"], at=at, body=vector["payload"])

    assert headers["webhook-signature"] == vector["expected"]
    assert (
        require_signature(headers, vector["payload"].encode(), secrets=[vector["secret"]], now=at) == vector["msg_id"]
    )


def test_the_reference_library_accepts_what_we_sign() -> None:
    """With its own clock, so at this very moment."""
    body = '{"a": "退款"}'

    headers = signed(body, at=datetime.now(UTC))

    assert Webhook(SECRET).verify(body, headers) == {"a": "退款"}


def test_an_instant_of_another_zone_is_signed_as_the_same_instant() -> None:
    """Shanghai's clock is eight hours ahead, its instants are not."""
    shanghai = NOW.astimezone(ZoneInfo("Asia/Shanghai"))

    assert signed(at=shanghai) == signed()


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_five_minutes_either_side_are_in_the_window(seconds: int) -> None:
    """Clocks of two systems differ."""
    headers = signed(at=NOW + timedelta(seconds=seconds))

    assert require_signature(headers, BODY.encode(), secrets=[SECRET], now=NOW) == "evt-1"


@pytest.mark.parametrize(
    ("seconds", "reason"), [(-301, "webhook_timestamp_too_old"), (301, "webhook_timestamp_too_new")]
)
def test_one_second_more_is_a_replay(seconds: int, reason: str) -> None:
    """A stolen callback is worth nothing after the window."""
    headers = signed(at=NOW + timedelta(seconds=seconds))

    with pytest.raises(SignatureRefused) as refusal:
        require_signature(headers, BODY.encode(), secrets=[SECRET], now=NOW)

    assert refusal.value.facts == {"reason": reason}


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(missing: str) -> None:
    """Nothing is believed half."""
    headers = {name: value for name, value in signed().items() if name != missing}

    with pytest.raises(SignatureRefused):
        require_signature(headers, BODY.encode(), secrets=[SECRET], now=NOW)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-timestamp", "soon"),
        ("webhook-timestamp", "1.5"),
        ("webhook-timestamp", "nan"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "９"),
        ("webhook-timestamp", "9" * 400),
        ("webhook-timestamp", "9" * 12),
        ("webhook-id", "evt-2"),
        ("webhook-id", "evt-1\n"),
        ("webhook-id", "e" * 257),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1,not base64"),
        ("webhook-signature", ",,,"),
        ("webhook-signature", "v1,\udcff"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ],
)
def test_a_header_that_is_off_is_refused_and_never_an_error(header: str, value: str) -> None:
    """Strangers write these headers."""
    headers = signed() | {header: value}

    with pytest.raises(SignatureRefused):
        require_signature(headers, BODY.encode(), secrets=[SECRET], now=NOW)


def test_a_signature_of_another_version_only_is_refused() -> None:
    """`v1a` is the asymmetric one, which we hold no key for."""
    headers = signed()
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v1a,")

    with pytest.raises(SignatureRefused):
        require_signature(headers, BODY.encode(), secrets=[SECRET], now=NOW)


def test_one_of_several_signatures_is_enough() -> None:
    """A sender that rotates signs with both."""
    headers = signed()
    headers["webhook-signature"] = f"v1a,AAAA v1,AAAA {headers['webhook-signature']}"

    assert require_signature(headers, BODY.encode(), secrets=[SECRET], now=NOW) == "evt-1"


def test_while_a_secret_rotates_both_hold_and_afterwards_only_the_new_one() -> None:
    """No callback is lost on the day of the change."""
    before, after = signed(secret=SECRET), signed(secret=OTHER_SECRET)

    for headers in (before, after):
        assert require_signature(headers, BODY.encode(), secrets=[OTHER_SECRET, SECRET], now=NOW) == "evt-1"

    with pytest.raises(SignatureRefused):
        require_signature(before, BODY.encode(), secrets=[OTHER_SECRET], now=NOW)


def test_header_names_are_read_in_any_case() -> None:
    """Proxies rewrite them."""
    headers = {name.title(): value for name, value in signed().items()}

    assert require_signature(headers, BODY.encode(), secrets=[SECRET], now=NOW) == "evt-1"


@given(position=st.integers(0, len(BODY) - 1), flip=st.integers(1, 255))
def test_no_other_byte_of_the_body_passes(position: int, flip: int) -> None:
    """The signature covers every byte, also those that are no UTF-8."""
    changed = bytearray(BODY.encode())
    changed[position] ^= flip

    with pytest.raises(SignatureRefused):
        require_signature(signed(), bytes(changed), secrets=[SECRET], now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_%%%%", "password", "whsec_" + "A" * 88 + "AAAA"])
def test_a_weak_or_garbled_secret_is_refused_without_being_repeated(secret: str) -> None:
    """What cannot sign stops the service at its start, and stays out of the log."""
    with pytest.raises(ValueError) as refusal:
        require_secret(secret)

    assert not secret.removeprefix("whsec_") or secret not in str(refusal.value)


# --- callbacks -------------------------------------------------------------------------------------------------------


def test_a_signed_callback_says_what_became_of_the_refund() -> None:
    """Amount and key come back for the flow to compare."""
    said = verify_callback(signed(), BODY.encode(), [SECRET], now=NOW)

    assert (said.event_id, said.refund_id, said.key) == ("evt-1", "r-1", "k-1")
    assert (said.status, said.amount_fen) == (GatewayStatus.SUCCEEDED, 1999)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"refund_id": "r-1"}',
        '{"refund_id": "", "status": "succeeded"}',
        '{"refund_id": 7, "status": "succeeded"}',
        '{"refund_id": "r-1", "status": "paid"}',
        '{"refund_id": "r-1", "status": "unknown"}',
        '{"refund_id": "r-1", "status": "succeeded", "amount_fen": 0}',
        '{"refund_id": "r-1", "status": "succeeded", "amount_fen": 19.99}',
        '{"refund_id": "r-1", "status": "succeeded", "amount_fen": "1999"}',
        '{"refund_id": "r-1", "status": "succeeded", "amount_fen": 9007199254740992}',
        '{"refund_id": "' + "r" * 129 + '", "status": "succeeded"}',
        '{"refund_id": "r-1", "status": "succeeded", "more": "' + "x" * 70_000 + '"}',
        "[" * 60_000,
    ],
)
def test_a_signed_callback_that_says_nothing_clear_is_refused(body: str) -> None:
    """The gateway's mistakes are its own, and never an error of ours."""
    with pytest.raises(CallbackMalformed):
        verify_callback(signed(body), body.encode(), [SECRET], now=NOW)


def test_an_unsigned_callback_is_refused_before_it_is_read() -> None:
    """Anybody can write JSON."""
    with pytest.raises(SignatureRefused):
        verify_callback({}, b"not even JSON", [SECRET], now=NOW)

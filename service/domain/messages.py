"""What a chat message may be: its kinds, who may send which, and whether it says anything at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from service.domain.errors import GuardFailed

# Voice clips are the buyer's alone: what cannot be judged cannot be let out for a merchant (promise 1).
KINDS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "buyer": ("text", "image", "emoji", "order_card", "voice"),
        "merchant": ("text", "image", "emoji", "order_card"),
    }
)
FILE_TYPES: Mapping[str, str] = MappingProxyType({"image": "image/", "voice": "audio/"})  # what the bytes must be
_SAYS_NOTHING = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Cn"})  # spaces, controls, zero-width, unassigned


def says_something(text: str) -> bool:
    """Whether anybody could see anything of the text; zero-width characters, spaces and bare marks do not count."""
    return any(unicodedata.category(character) not in _SAYS_NOTHING | {"Mn", "Me"} for character in text)


def require_sendable(side: str, kind: str, *, text: str, has_attachment: bool) -> None:
    """Refuse a kind that is not the side's, and a message that says nothing.

    Raises:
        GuardFailed: `message_kind_refused`, `message_empty`, `attachment_missing`, `attachment_unwanted`.
    """
    if kind not in KINDS_OF.get(side, ()):
        raise GuardFailed(
            "message_kind_refused", zh="不可发送此类消息", en="Not a kind of message of yours", message_kind=kind
        )
    require_attachment_fits(kind, has_attachment=has_attachment)
    if kind in ("text", "emoji") and not says_something(text):
        raise GuardFailed("message_empty", zh="消息内容为空", en="The message says nothing", message_kind=kind)


def require_attachment_fits(kind: str, *, has_attachment: bool) -> None:
    """Words and emoji come alone, pictures, clips and order cards with what they show.

    Raises:
        GuardFailed: `attachment_missing`, `attachment_unwanted`.
    """
    alone = kind in ("text", "emoji")
    if alone and has_attachment:
        raise GuardFailed(
            "attachment_unwanted", zh="此类消息不带附件", en="Comes without an attachment", message_kind=kind
        )
    if not alone and not has_attachment:
        raise GuardFailed("attachment_missing", zh="缺少附件", en="An attachment is needed", message_kind=kind)

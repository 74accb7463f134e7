"""What is shown or spoken must be said in words too: a turn is marked until the shop has put it into text (D10)."""

from __future__ import annotations

from typing import Final

from service.domain.answers import is_an_answer
from service.domain.moderation import ModeratedReply
from service.domain.rule_language import Category

WORDLESS: Final = frozenset({"image", "voice"})
RESTATED_CHARS_MIN: Final = 4  # choice: 今天补发 says what will be done in four
# Source 004, part 3: "要是客户发送语音,客服得用文字去回复关键信息".
NOTICE_ZH: Final = "买家发送了图片或语音,请用文字复述其中的关键信息并答复;平台只核查文字"
NOTICE_EN: Final = (
    "The buyer sent a picture or a voice clip: put its key facts into words and answer; only text is checked"
)
_ASKED: Final = "请说明图片或语音的内容"  # the question that such a turn puts: a bare yes is no answer to it


def needs_words(side: str, kind: str) -> bool:
    """Whether a message leaves something that is not in words: a buyer's picture or voice clip."""
    return side == "buyer" and kind in WORDLESS


def restates(kind: str, reply: ModeratedReply) -> bool:
    """Whether a delivered message of the shop puts things into words: no 收到, no bare yes, nothing perfunctory."""
    return (
        kind == "text"
        and sum(map(str.isalnum, reply.text)) >= RESTATED_CHARS_MIN
        and is_an_answer(reply.text, _ASKED)
        and all(finding.category != Category.PERFUNCTORY for finding in reply.verdict.findings)
    )


def unchecked(side: str, kind: str) -> bool:
    """Whether a message shows what no rule has read: a shop's picture, of which only codes are judged."""
    return side == "merchant" and kind == "image"

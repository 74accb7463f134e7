"""`intervention promises`: what replies promise, for JSON Lines, the contract of promises.md section 1."""

from __future__ import annotations

from datetime import datetime
from typing import Any, BinaryIO

from service.commands.jsonl import BadLine, answer_lines, optional_text, required_text
from service.domain.calendar import SHANGHAI
from service.domain.promise_text import Extracted, extract, leading

REPLY_CHARS_MAX = 10_000  # moderation.md: the bound of a text, here of reply and question
_YEARS = range(2000, 2100)  # choice: deadlines stay inside what the calendar and RFC 3339 can say
STATUS = {"unconditional": "confirmed"}  # promises.md: only this command writes the wording so


def run(stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Read the promises of every line of `stdin`; 0, or 1 if any line was bad."""
    return answer_lines(stdin, stdout, _answer)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    reply = required_text(asked, "reply", chars_max=REPLY_CHARS_MAX)
    question = optional_text(asked, "question", chars_max=REPLY_CHARS_MAX)
    return shown(extract(reply, question, said_at(required_text(asked, "asked_at", chars_max=100))))


def said_at(written: str) -> datetime:
    """The instant a reply was said; ISO 8601, without an offset in Asia/Shanghai.

    Raises:
        BadLine: bad_shape if it is no instant of this century.
    """
    try:
        instant = datetime.fromisoformat(written.strip())
        local = instant.replace(tzinfo=SHANGHAI) if instant.tzinfo is None else instant.astimezone(SHANGHAI)
    except (ValueError, OverflowError) as wrong:
        raise BadLine("bad_shape") from wrong
    if local.year not in _YEARS:
        raise BadLine("bad_shape")
    return local


def shown(extracted: list[Extracted]) -> dict[str, Any]:
    """The promises as the contract writes them; the top level repeats the leading one."""
    lead = leading(extracted)
    return {
        "status": "none" if lead is None else STATUS.get(lead.wording, lead.wording),
        "action": None if lead is None else lead.action,
        "amount_fen": None if lead is None else lead.amount_fen,
        "due_at": None if lead is None else _instant(lead.due_at),
        "promises": [_shown_one(each) for each in extracted],
    }


def _shown_one(each: Extracted) -> dict[str, Any]:
    return {
        "status": STATUS.get(each.wording, each.wording),
        "action": each.action,
        "amount_fen": each.amount_fen,
        "due_at": _instant(each.due_at),
        "start": each.start,
        "end": each.end,
        "canonical": {"zh": each.canonical.zh, "en": each.canonical.en},
    }


def _instant(due_at: datetime | None) -> str | None:
    return None if due_at is None else due_at.astimezone(SHANGHAI).isoformat(timespec="seconds")

"""`intervention promises`: JSON Lines in, JSON Lines out, as promises.md section 1 writes it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from service.commands.promises import run


def answered(*lines: bytes | dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and answers for the lines."""
    raw = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    out = io.BytesIO()
    code = run(io.BytesIO(raw), out)
    return code, [json.loads(line) for line in out.getvalue().decode("utf-8").splitlines()]


def asked(reply: str, question: str | None = None, asked_at: str = "2025-11-25T10:00:00+08:00") -> dict[str, Any]:
    return {"id": "r1", "asked_at": asked_at, "question": question, "reply": reply}


def test_the_articles_own_exchange_is_written_as_the_contract_says() -> None:
    """Source 002; promises.md section 1."""
    code, answers = answered(asked("我们今天会给消费者发货", "请您确认下今天是否可以发货"))

    assert code == 0
    assert answers == [
        {
            "id": "r1",
            "status": "confirmed",
            "action": "ship",
            "amount_fen": None,
            "due_at": "2025-11-25T23:59:59+08:00",
            "promises": [
                {
                    "status": "confirmed",
                    "action": "ship",
                    "amount_fen": None,
                    "due_at": "2025-11-25T23:59:59+08:00",
                    "start": 0,
                    "end": 11,
                    "canonical": {
                        "zh": "商家承诺:2025年11月25日23:59:59(北京时间)前发货。",
                        "en": "The merchant will ship the order, by 2025-11-25 23:59:59 (UTC+08:00).",
                    },
                }
            ],
        }
    ]


def test_chatter_is_none_and_nulls() -> None:
    """promises.md section 1."""
    _, answers = answered(asked("您好,感谢您的理解"))

    assert answers == [
        {"id": "r1", "status": "none", "action": None, "amount_fen": None, "due_at": None, "promises": []}
    ]


@pytest.mark.parametrize(
    ("reply", "status"),
    [("尽快发货", "hedged"), ("您退回后退款", "conditional"), ("今天发不了", "refused"), ("今天发货", "confirmed")],
)
def test_only_the_unconditional_is_called_confirmed(reply: str, status: str) -> None:
    """promises.md section 1: the command alone writes the wording as a status."""
    _, answers = answered(asked(reply))

    assert answers[0]["status"] == status


@pytest.mark.parametrize(
    ("asked_at", "due_at"),
    [
        ("2025-11-25T23:30:00", "2025-11-25T23:59:59+08:00"),
        ("2025-11-25T15:30:00Z", "2025-11-25T23:59:59+08:00"),
        ("2025-11-25T16:30:00+00:00", "2025-11-26T23:59:59+08:00"),
        ("2025-11-25T11:30:00-05:00", "2025-11-26T23:59:59+08:00"),
        ("2025-11-25", "2025-11-25T23:59:59+08:00"),
    ],
)
def test_today_is_today_in_shanghai(asked_at: str, due_at: str) -> None:
    """promises.md section 1: without an offset it is Asia/Shanghai."""
    _, answers = answered(asked("今天发货", asked_at=asked_at))

    assert answers[0]["due_at"] == due_at


def test_bad_lines_are_answered_in_their_place_and_the_rest_goes_on() -> None:
    """moderation.md section 1, the same contract."""
    code, answers = answered(
        asked("今天发货"),
        b"{",
        b'{"id": 3, "reply": "\xff"}',
        {"id": 4, "reply": "今天发货"},
        {"id": 5, "reply": "今天发货", "asked_at": "yesterday"},
        {"id": 6, "reply": "今天发货", "asked_at": "0001-01-01T00:00:00"},
        {"id": 7, "reply": "货" * 10_001, "asked_at": "2025-11-25T10:00:00"},
        {"id": 8, "reply": "\ud800", "asked_at": "2025-11-25T10:00:00"},
        {"id": 9, "reply": 5, "asked_at": "2025-11-25T10:00:00"},
        asked("今天发货"),
    )

    assert code == 1
    assert [answer.get("error", {}).get("code") for answer in answers] == [
        None,
        "bad_json",
        "bad_utf8",
        "bad_shape",
        "bad_shape",
        "bad_shape",
        "too_long",
        "bad_shape",
        "bad_shape",
        None,
    ]
    assert [answer["id"] for answer in answers] == ["r1", None, None, 4, 5, 6, 7, 8, 9, "r1"]

"""Refusals: what we understood and will not do, with the facts that explain it.

A refusal names its *kind*; the edge turns kinds into HTTP statuses in one table (`api/problems.py`). Codes never
change, wordings may. A blocked reply is not a refusal but an answer.
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """What sort of no it is."""

    MALFORMED = "malformed"  # the request cannot be read
    UNAUTHENTICATED = "unauthenticated"  # we do not know who asks
    FORBIDDEN = "forbidden"  # we know, and this role may not
    ABSENT = "absent"  # no such thing, or not yours to know of
    CONFLICT = "conflict"  # the state of things does not allow it
    STALE = "stale"  # you have seen an older revision
    PRECONDITION_MISSING = "precondition_missing"  # say which revision you have seen
    GUARD = "guard"  # a rule of the house says no
    TOO_LARGE = "too_large"  # over a bound
    TOO_MANY = "too_many"  # over a rate
    BUSY = "busy"  # try again


class Refusal(Exception):
    """A refusal with a stable code and the facts behind it.

    Args:
        code: stable, snake_case; documented in docs/errors.md.
        facts: JSON-able values that help the caller (states, instants as RFC 3339 text, amounts in fen).
    """

    kind: Kind = Kind.GUARD

    def __init__(self, code: str, *, kind: Kind | None = None, zh: str = "", en: str = "", **facts: object) -> None:
        super().__init__(code)
        self.code = code
        if kind is not None:
            self.kind = kind
        self.zh = zh
        self.en = en
        self.facts = facts


class Absent(Refusal):
    """No such thing, or somebody else's: the two answers are the same on purpose."""

    kind = Kind.ABSENT

    def __init__(self, what: str) -> None:
        super().__init__("not_found", zh="没有找到", en="Not found")
        self.what = what


class Forbidden(Refusal):
    """The role or permission of the actor does not allow it."""

    kind = Kind.FORBIDDEN


class Conflict(Refusal):
    """The present state does not allow it; look again and decide anew."""

    kind = Kind.CONFLICT


class GuardFailed(Refusal):
    """The arrow exists, but its guard says no; the code is the guard's name."""

    kind = Kind.GUARD


class ArrowMissing(Conflict):
    """The lifecycle has no such arrow from the present state."""

    def __init__(self, *, lifecycle: str, state: str, trigger: str, allowed: list[str]) -> None:
        super().__init__(
            "arrow_missing",
            zh="当前状态不允许此操作",
            en="The present state does not allow this",
            lifecycle=lifecycle,
            state=state,
            trigger=trigger,
            allowed=allowed,
        )


class WindowClosed(Conflict):
    """The window had closed when the request arrived."""

    def __init__(self, *, due_at: str, received_at: str, in_time: bool = False) -> None:
        super().__init__(
            "window_closed",
            zh="时限已过",
            en="The window has closed",
            due_at=due_at,
            received_at=received_at,
            in_time=in_time,
        )

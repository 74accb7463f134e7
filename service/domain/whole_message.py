"""A message as a whole: what is left of it without the address it opens with and the particles it closes with."""

from __future__ import annotations

from collections.abc import Iterator

OPENINGS = ("亲亲", "亲爱的", "亲", "您好", "你好")
ENDINGS = "亲哦呢哈呀啊了哒啦嘛吧滴呐噢喔"
ENDINGS_MAX = 3
ADDRESS_CHARS_MAX = max(map(len, OPENINGS)) + ENDINGS_MAX


def whole_forms(folded: str) -> Iterator[str]:
    """A folded message, then without its address, then without one closing particle after the other."""
    core = folded
    yield core
    for opening in OPENINGS:
        if core.startswith(opening) and len(core) > len(opening):
            core = core[len(opening) :]
            yield core
            break
    for _ in range(ENDINGS_MAX):
        if len(core) < 2 or core[-1] not in ENDINGS:
            return
        core = core[:-1]
        yield core


def cores(folded: str) -> Iterator[str]:
    """The folded message without any closing particles, as it stands and behind each opening: equal for equal forms."""
    yield folded.rstrip(ENDINGS)
    for opening in OPENINGS:
        if folded.startswith(opening):
            yield folded[len(opening) :].rstrip(ENDINGS)

"""What another rule book would have done to past messages: new hits and lost hits by rule, with a few samples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from service.domain.moderation import Channel, Context, Finding, Verdict, moderate
from service.store.rulepacks import RuleBook

CHANNEL_DEFAULT: Final = "buyer_chat"
SAMPLES_MAX: Final = 5  # of each rule and kind
SAMPLE_CHARS_AROUND: Final = 12  # on each side of a hit: enough to see the context, too little to tell whose it is
_DIGIT: Final = re.compile(r"\d")

Fired = Mapping[str, tuple[bool, int, int]]  # rule to: acting; start and end of its first place


class PastMessage(msgspec.Struct, frozen=True):
    """A message as it was judged: the text, where it stood, and what it answered."""

    text: str
    platform: str = "taobao"
    channel: str = "buyer_chat"
    question: str | None = None


class Difference(msgspec.Struct):
    """How one rule differs: messages it would hit (or stop) that it did not, and the other way round."""

    new: int = 0
    lost: int = 0
    new_acting: int = 0
    lost_acting: int = 0
    new_samples: list[str] = []
    lost_samples: list[str] = []


class Replay(msgspec.Struct):
    """Sums over all messages; bounded, however many there are."""

    judged: int = 0
    skipped: int = 0  # of a marketplace that one of the books does not know
    changed: int = 0  # messages with any difference
    hit_before: int = 0
    hit_after: int = 0
    rules: dict[str, Difference] = {}

    def note_message(self, message: PastMessage, before: RuleBook, after: RuleBook) -> None:
        """Judge one message by both books."""
        if message.platform not in before.profiles or message.platform not in after.profiles:
            self.skipped += 1
            return
        self.note(message.text, fired_by(message, before), fired_by(message, after))

    def note(self, text: str, before: Fired, after: Fired) -> None:
        """Count the difference between what two books found in one text."""
        self.judged += 1
        self.hit_before += bool(before)
        self.hit_after += bool(after)
        if before == after:
            return
        changed = False
        for rule_id in before.keys() | after.keys():
            old, new = before.get(rule_id), after.get(rule_id)
            acted, acts = bool(old and old[0]), bool(new and new[0])
            if (old is None) == (new is None) and acted == acts:
                continue
            changed = True
            difference = self.rules.setdefault(rule_id, Difference())
            difference.new += old is None
            difference.lost += new is None
            difference.new_acting += acts and not acted
            difference.lost_acting += acted and not acts
            place = new if (acts and not acted) or old is None else old
            samples = difference.new_samples if place is new else difference.lost_samples
            if len(samples) < SAMPLES_MAX and place is not None:
                samples.append(sample(text, place[1], place[2]))
        self.changed += changed

    def add(self, other: Replay) -> None:
        """Sums of another part of the same messages."""
        for name in ("judged", "skipped", "changed", "hit_before", "hit_after"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for rule_id, theirs in other.rules.items():
            ours = self.rules.setdefault(rule_id, Difference())
            for name in ("new", "lost", "new_acting", "lost_acting"):
                setattr(ours, name, getattr(ours, name) + getattr(theirs, name))
            ours.new_samples = (ours.new_samples + theirs.new_samples)[:SAMPLES_MAX]
            ours.lost_samples = (ours.lost_samples + theirs.lost_samples)[:SAMPLES_MAX]


def fired_by(message: PastMessage, book: RuleBook) -> Fired:
    """The rules that a message breaks by one book, one by one as the service judges."""
    context = Context(Channel(message.channel), message.platform, message.question)
    return fired(moderate(message.text, book.for_platform(message.platform), context))


def fired(verdict: Verdict) -> Fired:
    """Each rule of a verdict with its first place."""
    return {**_first(verdict.watched, acts=False), **_first(verdict.findings, acts=True)}


def _first(findings: Iterable[Finding], *, acts: bool) -> dict[str, tuple[bool, int, int]]:
    places: dict[str, tuple[bool, int, int]] = {}
    for finding in findings:
        places.setdefault(finding.rule, (acts, finding.start, finding.end))
    return places


def sample(text: str, start: int, end: int) -> str:
    """The words around a hit, digits masked: a rule editor reads no cases (api.md section 3)."""
    head, tail = max(0, start - SAMPLE_CHARS_AROUND), min(len(text), end + SAMPLE_CHARS_AROUND)
    around = text[head:start] + "[" + text[start : min(end, start + 40)] + "]" + text[end:tail]
    return ("…" if head else "") + _DIGIT.sub("#", around) + ("…" if tail < len(text) else "")

"""A reply taken apart: clauses, and in each what is said to be done, when, for how much, and in what tone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeVar

from service.domain import promise_scope as scope
from service.domain import promise_wording as words
from service.domain.promise_actions import ACTION, Act, find_acts
from service.domain.promise_amount import find_shares, find_sums
from service.domain.promise_asides import KEPT_CHARS_MAX, aside, own_voice, voiced, without_act
from service.domain.promise_pattern import Cued, Cues
from service.domain.promise_plain import BLANK
from service.domain.promise_segments import segments
from service.domain.promise_statement import Clause, Found, Reading, Statement
from service.domain.promise_time import find_deadlines

_STOP: Final = "。!?;…\n"
_PAUSE: Final = ",、 :()\\[\\]{}<>【】“”\"'‘’「」『』|~\u2600-\u27bf\U0001f000-\U0001faff"
# Group 1 where a sentence ends. Begins with one set of characters, which is what makes the search fast.
_SEPARATOR: Final = re.compile(
    f"[{_STOP}.{_PAUSE}-](?:(?:(?<=[{_STOP}])[{_STOP}]*|(?<=\\.)(?![0-9]))()|(?<=[{_PAUSE}])[{_PAUSE}]*|(?<=-)-+)"
)
_VOICES: Final = words.SAYING.bit | words.DEMANDING.bit
_AFTER_NUMERAL: Final = frozenset("、.)")
_EDGES: Final = " ,。!?;~…\n"
_EMPHASIS_CHARS_MAX: Final = 6  # choice: “今天”发货 is emphasis, with its marks; more is somebody's words
_Kind = TypeVar("_Kind", bound=Found)
_NO_MORE: Final = (1 << 62, 0)


def blank(text: str, pattern: Cued) -> str:
    """The text with every hit overwritten, so that all positions stay."""
    return pattern.sub(lambda hit: BLANK * (hit.end() - hit.start()), text)


def read(spelled: str, said_at: datetime, *, acts_only: bool) -> Reading:
    """Take a text in the one spelling apart into statements, in order; with `acts_only` none if nothing is done."""
    text, found = spelled, Cues(spelled)
    cues = found.whole
    if cues & (words.INNOCENT.bit | words.QUOTED.bit):
        text = words.QUOTED.sub(_unquoted, blank(spelled, words.INNOCENT))
    acts = find_acts(text) if cues & ACTION.bit else []
    if acts_only and not acts:
        return Reading(text, found, [], [], [], [])
    deadlines = find_deadlines(text, said_at, cues)
    reading = Reading(text, found, deadlines, find_sums(text, cues), find_shares(text, cues), acts)
    saying_sentence = -1
    for clause in _clauses(reading):
        saying_sentence = _read_clause(clause, reading, said_at, saying_sentence)
    return reading


def _unquoted(hit: re.Match[str]) -> str:
    """Other people's words in quotation marks say nothing of one's own."""
    whole = not hit.string[: hit.start()].strip(_EDGES) and not hit.string[hit.end() :].strip(_EDGES)
    short = hit.end() - hit.start() <= _EMPHASIS_CHARS_MAX
    before = hit.string[max(0, hit.start() - 8) : hit.start()]
    if whole or (short and not words.UNLESS_QUOTED.search(before)):
        return hit.group()
    return BLANK * (hit.end() - hit.start())


def _clauses(reading: Reading) -> list[Clause]:
    """Clauses between separators; a separator inside a time or a sum parts nothing."""
    text, hits = reading.text, iter(reading.cues.hits)
    clauses: list[Clause] = []
    start = sentence = 0
    cue, bits = next(hits, _NO_MORE)
    for at, after, ends in [*_separators(reading), (len(text), len(text), "")]:
        if at > start:
            cues = Cued.always
            while cue < at:
                cues |= bits
                cue, bits = next(hits, _NO_MORE)
            clauses.append(Clause(reading, start, at, sentence, cues))
        if "?" in ends and clauses:
            clauses[-1].asked = True
        start = after
        sentence += bool(ends)
    _deal(reading, clauses)
    return clauses


def _deal(reading: Reading, clauses: list[Clause]) -> None:
    """Give each clause what stands in it: one walk, for both lists are in order."""
    for clause, acts in _dealt(reading.acts, clauses):
        clause.acts = acts
        if acts[-1].end > clause.end:
            clause.run_on(reading)
    for clause, deadlines in _dealt(reading.deadlines, clauses):
        clause.deadlines = deadlines
    for clause, sums in _dealt(reading.sums, clauses):
        clause.sums = sums
    for clause, shares in _dealt(reading.shares, clauses):
        clause.shares = shares


def _dealt(found: list[_Kind], clauses: list[Clause]) -> list[tuple[Clause, list[_Kind]]]:
    """The clauses that hold any of what was found, each with its own."""
    dealt: list[tuple[Clause, list[_Kind]]] = []
    if not found:
        return dealt
    rest = iter(clauses)
    clause = next(rest, None)
    for each in found:
        start = each.start
        while clause is not None and clause.end <= start:
            clause = next(rest, None)
        if clause is None:
            break
        if clause.start <= start:
            if dealt and dealt[-1][0] is clause:
                dealt[-1][1].append(each)
            else:
                dealt.append((clause, [each]))
    return dealt


def _separators(reading: Reading) -> list[tuple[int, int, str]]:
    """Where clauses are parted, with the marks if a sentence ends there; none of them in a time or a sum."""
    whole = [(each.start, each.end) for each in reading.deadlines]
    whole += [(each.start, each.end) for each in reading.sums]
    found = []
    for hit in _SEPARATOR.finditer(reading.text):
        at, after = hit.span()
        for start, end in whole:
            if start < at and after <= end:
                break
        else:
            found.append((at, after, hit.group() if hit.lastindex is not None else ""))
    return found


def _read_clause(clause: Clause, reading: Reading, said_at: datetime, saying_sentence: int) -> int:
    """Append the statements of a clause; returns the sentence that somebody else is being quoted in, or -1."""
    a, b = clause.start, clause.end
    if not (clause.acts or clause.deadlines or clause.sums or clause.shares) and b - a <= KEPT_CHARS_MAX:
        return _read_aside(clause, reading, saying_sentence)
    polite = clause.cues & words.POLITE.bit or BLANK in clause.text
    if polite and not clause.asked and words.POLITE.fullmatch(clause.text, a, b):
        reading.statements.append(Statement(a, b, clause.sentence, "filler"))
        return saying_sentence
    said = demanded = None
    if clause.cues & _VOICES:
        said = clause.find(words.SAYING, a, b)
        demanded = clause.find(words.DEMANDING, a, b)
    said_before = saying_sentence == clause.sentence
    own = (demanded is not None or said_before) and own_voice(clause, demanded)
    if said is not None and not words.I_TOO.search(clause.text, said.end(), b):
        saying_sentence = clause.sentence
    elif said_before and own:
        saying_sentence = -1
    foreign = said.start() if said else a if saying_sentence == clause.sentence else None
    buyer = clause.find(words.BUYER_DOES, a, b)
    acts = _own_acts(clause, buyer, reading)
    if acts:
        _append_acts(clause, acts, reading, said_at, buyer=buyer, demanded=None if own else demanded, foreign=foreign)
    else:
        statement, soothing = without_act(clause, buyer)
        trailing = said is not None and said.end() >= b - 1
        reading.statements.append(voiced(statement, foreign=foreign is not None, trailing=trailing, soothing=soothing))
    return saying_sentence


def _read_aside(clause: Clause, reading: Reading, saying_sentence: int) -> int:
    text = clause.text[clause.start : clause.end]
    if len(text) == 1 and text.isdigit() and clause.text[clause.end : clause.end + 1] in _AFTER_NUMERAL:
        return saying_sentence  # 1、同意退款。2、今天操作完
    judged = aside(text, clause.cues, clause.asked, BLANK in text)
    polite = judged.statement.kind == "filler" and not judged.says
    if judged.says and not words.I_TOO.search(text):
        saying_sentence = clause.sentence
    elif saying_sentence == clause.sentence and not polite:
        demanded = clause.find(words.DEMANDING, clause.start, clause.end)
        saying_sentence = -1 if own_voice(clause, demanded) else saying_sentence
    statement = Statement(clause.start, clause.end, clause.sentence, "other")
    statement.say(judged.statement)
    foreign = saying_sentence == clause.sentence and not (polite and judged.soothing)
    reading.statements.append(voiced(statement, foreign=foreign, trailing=judged.trailing, soothing=judged.soothing))
    return saying_sentence


def _own_acts(clause: Clause, buyer: re.Match[str] | None, reading: Reading) -> Sequence[Act]:
    """The actions of a clause that the shop does, not the buyer; who pays the carriage is a condition of the rest."""
    acts = clause.acts
    if buyer is not None:
        acts = [act for act in acts if not (buyer.start() <= act.start < buyer.end())]
    if acts and (payer := clause.find(scope.BUYER_PAYS, clause.start, clause.end)) is not None:
        acts = [act for act in acts if act.action != "compensate"]
        if acts:
            reading.statements.append(_condition(payer.start(), payer.end(), clause))
    return acts


def _append_acts(
    clause: Clause,
    acts: Sequence[Act],
    reading: Reading,
    said_at: datetime,
    *,
    buyer: re.Match[str] | None,
    demanded: re.Match[str] | None,
    foreign: int | None,
) -> None:
    a, b = clause.start, clause.end
    if buyer is not None and buyer.end() <= acts[0].start:
        reading.statements.append(Statement(buyer.start(), buyer.end(), clause.sentence, "buyer"))
    if clause.find(words.IF, a, acts[0].start) and words.NOT_OURS.search(clause.text, a, acts[0].start):
        reading.statements.append(_condition(a, b, clause))  # 只要他不退款
        return
    if clause.find(scope.TIES_ALL, a, b):
        reading.statements.append(_condition(a, b, clause))
        return
    for statement in segments(clause, acts, said_at):
        if demanded is not None and demanded.start() < statement.end:
            agrees = demanded.group().endswith("同意") and not scope.DONE.search(clause.text, a, b)
            if agrees or scope.STILL_STRING.search(clause.text, demanded.start(), statement.end):  # 他同意就行
                statement.kind, statement.backward = "condition", True
            statement.tone, statement.demanded = "none", True
        elif foreign is not None and foreign < statement.end:
            statement.tone, statement.foreign = "none", True
        reading.statements.append(statement)


def _condition(start: int, end: int, clause: Clause) -> Statement:
    statement = Statement(start, end, clause.sentence, "condition")
    statement.backward = True
    return statement

"""A reply taken apart: clauses, and in each what is said to be done, when, for how much, and in what tone."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from service.domain import promise_wording as words
from service.domain.promise_actions import FULL, PARTIAL, Act, find_acts
from service.domain.promise_amount import find_shares, find_sums
from service.domain.promise_statement import Clause, Reading, Statement, within, without
from service.domain.promise_time import find_deadlines
from service.domain.promise_tone import tone_of

_SEPARATOR: Final = re.compile(
    "([。!?;…\n]+|\\.(?![0-9]))|[,、 :()\\[\\]{}<>【】“”\"'‘’「」『』|~\u2600-\u27bf\U0001f000-\U0001faff]+|-{2,}"
)
_ANSWER_CHARS_MAX: Final = 24  # choice: a longer clause is no bare yes
_AFTERWARDS: Final = re.compile(r"(?:了|款|货)?(?:之后|以后|后(?!天|续|台|面))")
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,2})?")
_BLANK: Final = "\x00"
_MONEY_ACTIONS: Final = frozenset(("refund", "compensate"))


def blank(text: str, pattern: re.Pattern[str]) -> str:
    """The text with every hit overwritten, so that all positions stay."""
    return pattern.sub(lambda hit: _BLANK * (hit.end() - hit.start()), text)


def read(spelled: str, said_at: datetime) -> Reading:
    """Take a text in the one spelling apart into statements, in order."""
    text = blank(spelled, words.INNOCENT)
    text = _blank_quotations(text)
    deadlines = find_deadlines(text, said_at)
    reading = Reading(text, deadlines, find_sums(text), find_shares(text), find_acts(text))
    saying_sentence = -1
    for clause in _clauses(text, reading):
        saying_sentence = _read_clause(clause, reading, said_at, saying_sentence)
    return reading


def _blank_quotations(text: str) -> str:
    """Other people's words in quotation marks say nothing of one's own."""
    if words.QUOTED.search(text) is None:
        return text
    return words.QUOTED.sub(_unquoted, text)


def _unquoted(hit: re.Match[str]) -> str:
    before = hit.string[max(0, hit.start() - 8) : hit.start()]
    return _BLANK * (hit.end() - hit.start()) if words.UNLESS_QUOTED.search(before) else hit.group()


def _clauses(text: str, reading: Reading) -> list[Clause]:
    """Clauses between separators; a separator inside a time or a sum parts nothing."""
    inside: set[int] = set()
    for deadline in reading.deadlines:
        inside.update(range(deadline.start + 1, deadline.end))
    for amount in reading.sums:
        inside.update(range(amount.start + 1, amount.end))
    clauses: list[Clause] = []
    start = sentence = 0
    for hit in _SEPARATOR.finditer(text):
        at, after = hit.span()
        if at in inside and after - 1 in inside:
            continue
        asked = hit.lastindex is not None and "?" in hit.group()
        if at > start:
            clauses.append(Clause(start, at, sentence, asked))
        elif clauses and asked:
            clauses[-1].asked = True
        start = after
        sentence += hit.lastindex or 0
    if start < len(text):
        clauses.append(Clause(start, len(text), sentence, False))
    return clauses


def _read_clause(clause: Clause, reading: Reading, said_at: datetime, saying_sentence: int) -> int:
    """Append the statements of a clause; returns the sentence that somebody else is being quoted in, or -1."""
    a, b = clause.start, clause.end
    if not clause.asked and words.POLITE.fullmatch(reading.text, a, b):
        reading.statements.append(Statement(a, b, clause.sentence, "filler"))
        return saying_sentence
    said = reading.find(words.SAYING, a, b)
    demanded = reading.find(words.DEMANDING, a, b)
    voice_from = a
    if demanded is not None:
        wished = words.THEMSELVES.match(reading.text, demanded.end(), b)
        voice_from = wished.end() if wished else demanded.end()
    own = reading.find(words.OWN_VOICE, voice_from, b) is not None
    if said is not None:
        saying_sentence = clause.sentence
    elif saying_sentence == clause.sentence and own:
        saying_sentence = -1
    foreign = said.start() if said else a if saying_sentence == clause.sentence else None
    acts = within(reading.acts, a, b)
    buyer = reading.find(words.BUYER_DOES, a, b)
    if buyer is not None:
        acts = [act for act in acts if not (buyer.start() <= act.start < buyer.end())]
    if not acts:
        statement = _bare_clause(clause, reading)
        if statement.kind in ("other", "generic", "deferring", "bare"):
            duty = words.BUYER_FIRST.search(reading.text, a, b)
            statement.backward = duty is not None
            buyer = buyer or duty or words.BUYER_SUBJECT.match(reading.text, a, b)
        if buyer is not None and statement.kind in ("other", "generic", "deferring", "bare"):
            statement.kind = "buyer"
        if foreign is not None and statement.kind not in ("asking", "proposal"):
            statement.kind = "other"
        reading.statements.append(statement)
        return saying_sentence
    if buyer is not None and buyer.end() <= acts[0].start:
        reading.statements.append(Statement(buyer.start(), buyer.end(), clause.sentence, "buyer"))
    for statement in _segments(clause, acts, reading, said_at):
        if demanded is not None and demanded.start() < statement.end and not own:
            statement.tone, statement.demanded = "none", True
        elif foreign is not None and foreign < statement.end:
            statement.tone = "none"
        statement.own_voice = own
        reading.statements.append(statement)
    return saying_sentence


def _bare_clause(clause: Clause, reading: Reading) -> Statement:
    """What a clause without an action of its own does to its neighbours."""
    text, a, b = reading.text, clause.start, clause.end
    statement = Statement(a, b, clause.sentence, "other")
    deadlines = [found for found in within(reading.deadlines, a, b) if not found.past]
    sums = within(reading.sums, a, b)
    shares = within(reading.shares, a, b)
    statement.deadline = deadlines[-1] if deadlines else None
    statement.amount = sums[-1] if sums else None
    statement.share = shares[-1].hundredths if shares and not sums else None
    statement.latest = reading.find(words.LATEST, a, b) is not None
    statement.correcting = reading.find(words.CORRECTING, a, b) is not None
    spans = (
        [(d.start, d.end) for d in deadlines] + [(s.start, s.end) for s in sums] + [(s.start, s.end) for s in shares]
    )
    core = without(text, a, b, spans).replace(_BLANK, "").strip()
    mark = text[a : b + 1] if clause.asked else text[a:b]
    if clause.asked or reading.find(words.ASKING, a, b):
        statement.kind = "proposal" if words.PROPOSAL.search(mark) else "asking"
        return statement
    if not spans and _NUMBER.fullmatch(core) and core != "1":  # 15, to the question how much
        statement.kind, statement.amount = "bare", find_sums(f"{core}元")[0]
        return statement
    _judge_core(statement, core, bool(spans), text[a:b])
    return statement


def _judge_core(statement: Statement, core: str, has_fields: bool, whole: str) -> None:
    """Set the kind of a clause without an action from what is left beside its times and sums."""
    hedged = words.HEDGE.search(core) is not None or (statement.deadline is not None and statement.deadline.soft)
    unhedged = words.HEDGE.sub("", core) if hedged else core
    yes = words.ACK_YES.fullmatch(unhedged) if 0 < len(unhedged) <= _ANSWER_CHARS_MAX else None
    statement.tone = "hedged" if hedged else "unconditional"
    if words.CONDITION.search(whole):
        statement.kind = "condition"
        statement.backward = words.BACKWARD_CONDITION.search(whole) is not None
        statement.event = words.EVENT.search(whole) is not None
        statement.consequence = words.CONSEQUENCE.search(core) is not None
    elif words.ACK_NO.fullmatch(unhedged) or (has_fields and words.ACK_NO.search(unhedged)):
        statement.kind, statement.tone = "no", "refused"
    elif words.ACK_ONLY_HEARD.fullmatch(core):
        statement.kind = "heard"
    elif yes is not None:
        statement.kind = "yes"
        statement.strong = yes["ack"] in words.ACK_STRONG or not core.startswith(("好", "嗯", "是", "对"))
        if core.endswith("吧") and not core.startswith(("好", "行", "那")):
            statement.tone = "hedged"
    elif hedged and words.FILLER.fullmatch(unhedged):
        statement.kind = "bare" if has_fields else "hedge"
    elif has_fields and words.FILLER.fullmatch(_only_field_words(core)):
        statement.kind = "bare"
    elif words.GENERIC.search(core) and "去" not in core and not words.REFUSAL.search(core):
        statement.kind = "generic"
    elif words.DEFERRING.search(core):
        statement.kind = "deferring"
    elif words.FILLER.fullmatch(core):
        statement.kind = "filler"


_FIELD_WORDS: Final = re.compile(
    r"最晚|最迟|至迟|不超过|不晚于|不对|(?:说|打|写|搞|看|记)错了?|更正|改为|改成|改到|应为|是|不是|哦不|啊不"
    r"|不不|就|那|吧|会|的|在|一共|总共|共|可以|能|全部|到|金额|时间|至少|给"
)


def _only_field_words(core: str) -> str:
    return _FIELD_WORDS.sub("", core)


def _segments(clause: Clause, acts: list[Act], reading: Reading, said_at: datetime) -> list[Statement]:
    """One statement for each action of a clause, each with the words that are about it."""
    text, a, b = reading.text, clause.start, clause.end
    merged: list[tuple[Act, int]] = []
    for act in acts:
        last = merged[-1] if merged else None
        if last is not None and last[0].action == act.action and act.start - last[1] <= 2:
            merged[-1] = (last[0], act.end)
        else:
            merged.append((act, act.end))
    statements: list[Statement] = []
    start = a
    for index, (act, act_end) in enumerate(merged):
        following = merged[index + 1][0].start if index + 1 < len(merged) else b
        end = _segment_end(reading, act_end, following) if following < b else b
        statement = Statement(start, end, clause.sentence, "act", action=act.action, verb=text[act.start : act_end])
        _fill(statement, act, act_end, reading, said_at)
        statement.tone = tone_of(statement, act, act_end, reading, clause, said_at)
        if index and _AFTERWARDS.match(text, start):  # 补差价5元后发货: the first is what the second waits for
            statements[-1].tone, statement.tone = "none", "conditional"
        joined = words.TOGETHER.search(text[start : act.start]) is not None
        if index and (joined or reading.find(words.CHOICE, start, act.start)):
            _join(statements[-1], statement, choice=reading.find(words.CHOICE, start, act.start) is not None)
        statements.append(statement)
        start = end
    return statements


def _join(first: Statement, second: Statement, *, choice: bool) -> None:
    """Time and tone spread over verbs joined by 并; 或 leaves open which of two is done."""
    if choice:
        first.choice = second.choice = True
        for either in (first, second):
            if either.tone in ("unconditional", "hedged"):
                either.tone = "conditional"
        return
    if second.deadline is None:
        second.deadline = first.deadline
    if second.tone == "unconditional" and first.tone in ("hedged", "conditional", "refused", "none"):
        second.tone = first.tone


def _segment_end(reading: Reading, act_end: int, following: int) -> int:
    """Where the words about an action end: after its own sum and its 不了/了, before the next one's time."""
    end = act_end
    tail = words.UNABLE_TAIL.match(reading.text, act_end) or words.FACT_AFTER.match(reading.text, act_end)
    if tail and tail.end() <= following:
        end = tail.end()
    for found in within(reading.sums, act_end, following):
        if end <= found.start <= end + 6 and found.end <= following:
            end = found.end
    return end


def _fill(statement: Statement, act: Act, act_end: int, reading: Reading, said_at: datetime) -> None:
    """Give an action its time and its sum."""
    a, b = statement.start, statement.end
    deadlines = [found for found in within(reading.deadlines, a, b) if not found.past]
    statement.latest = reading.find(words.LATEST, a, b) is not None
    statement.correcting = reading.find(words.CORRECTING, a, b) is not None
    if deadlines:
        before = [found for found in deadlines if found.end <= act_end]
        statement.deadline = before[-1] if before else deadlines[0]
        if statement.latest or statement.correcting:
            statement.deadline = deadlines[-1]
    statement.arrival = statement.verb == "到账"
    if act.action not in _MONEY_ACTIONS:
        return
    sums = within(reading.sums, a, b)
    after = [found for found in sums if found.end > act.start]
    statement.amount = after[0] if after else sums[-1] if sums else None
    shares = within(reading.shares, a, b)
    statement.share = shares[-1].hundredths if shares and statement.amount is None else None
    statement.full = reading.find(FULL, a, b) is not None
    statement.partial = reading.find(PARTIAL, a, b) is not None

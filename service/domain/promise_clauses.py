"""A reply taken apart: clauses, and in each what is said to be done, when, for how much, and in what tone."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Final, Protocol, TypeVar

from service.domain import promise_wording as words
from service.domain.promise_actions import FULL, PARTIAL, Act, find_acts
from service.domain.promise_amount import Share, Sum, find_shares, find_sums
from service.domain.promise_time import Deadline, find_deadlines

_SEPARATOR: Final = re.compile(
    "([。!?;…\n]+|\\.(?![0-9]))|[,、 :()\\[\\]{}<>【】“”\"'‘’「」『』|~\u2600-\u27bf\U0001f000-\U0001faff]+|-{2,}"
)
_ANSWER_CHARS_MAX: Final = 24  # choice: a longer clause is no bare yes
_AFTERWARDS: Final = re.compile(r"(?:了|款|货)?(?:之后|以后|后(?!天|续|台|面))")
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,2})?")
_MARKS: Final = re.compile(r"[\W_\x00]")
_BARE_ACT_CHARS_MAX: Final = 2  # choice: 退款吧, 补发哦
_BLANK: Final = "\x00"
_MONEY_ACTIONS: Final = frozenset(("refund", "compensate"))
_LATE_NO: Final = re.compile(r"不行|不可以|做不到|没办法|办不到|来不及|不现实|有困难|不太可能|不可能")
_AFTER_AMOUNT: Final = re.compile(r"[^,。!?;\n]{0,4}$")


@dataclass(slots=True)
class Statement:
    """One thing said: an action, or a clause that bears on its neighbours.

    `kind`: act | yes | no | heard | bare (only a time or a sum) | generic (安排, 处理) | deferring | hedge | condition
    | buyer | proposal | asking | other. `tone` of an act: unconditional | hedged | conditional | refused | none.
    """

    start: int
    end: int
    sentence: int
    kind: str
    tone: str = "unconditional"
    action: str = "none"
    deadline: Deadline | None = None
    amount: Sum | None = None
    share: int | None = None
    full: bool = False
    partial: bool = False
    latest: bool = False  # 最晚
    correcting: bool = False  # 不对,是后天
    demanded: bool = False  # 客户要求退款: somebody else's wish, which an answer may grant
    strong: bool = False  # 可以, not 好的
    open_asking: bool = False
    choice: bool = False
    arrival: bool = False  # 到账: when the money is there, not that it is paid
    backward: bool = False
    consequence: bool = False
    own_voice: bool = False
    event: bool = False  # the condition is something that must happen first: a span of hours runs from then
    verb: str = ""


@dataclass(slots=True)
class Reading:
    """A text taken apart, with what the clauses were read from."""

    text: str
    deadlines: list[Deadline]
    sums: list[Sum]
    shares: list[Share]
    acts: list[Act]
    statements: list[Statement] = field(default_factory=list)
    _present: dict[int, bool] = field(default_factory=dict)

    def find(self, pattern: re.Pattern[str], a: int, b: int) -> re.Match[str] | None:
        """The first hit in [a, b); a pattern that the whole text does not hold is looked for only once."""
        present = self._present.get(id(pattern))
        if present is None:
            present = self._present[id(pattern)] = pattern.search(self.text) is not None
        return pattern.search(self.text, a, b) if present else None


@dataclass(slots=True)
class _Clause:
    start: int
    end: int
    sentence: int
    asked: bool  # a question mark follows


class _Found(Protocol):
    @property
    def start(self) -> int: ...


_Kind = TypeVar("_Kind", bound=_Found)


def _within(found: list[_Kind], a: int, b: int) -> list[_Kind]:
    """Those that start in [a, b), of a list in order."""
    if not found:
        return found
    first = bisect_left(found, a, key=_start_of)
    last = first
    while last < len(found) and found[last].start < b:
        last += 1
    return found[first:last]


_start_of = attrgetter("start")


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


def _clauses(text: str, reading: Reading) -> list[_Clause]:
    """Clauses between separators; a separator inside a time or a sum parts nothing."""
    inside: set[int] = set()
    for deadline in reading.deadlines:
        inside.update(range(deadline.start + 1, deadline.end))
    for amount in reading.sums:
        inside.update(range(amount.start + 1, amount.end))
    clauses: list[_Clause] = []
    start = sentence = 0
    for hit in _SEPARATOR.finditer(text):
        at, after = hit.span()
        if at in inside and after - 1 in inside:
            continue
        asked = hit.lastindex is not None and "?" in hit.group()
        if at > start:
            clauses.append(_Clause(start, at, sentence, asked))
        elif clauses and asked:
            clauses[-1].asked = True
        start = after
        sentence += hit.lastindex or 0
    if start < len(text):
        clauses.append(_Clause(start, len(text), sentence, False))
    return clauses


def _read_clause(clause: _Clause, reading: Reading, said_at: datetime, saying_sentence: int) -> int:
    """Append the statements of a clause; returns the sentence that somebody else is being quoted in, or -1."""
    a, b = clause.start, clause.end
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
    acts = _within(reading.acts, a, b)
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


def _bare_clause(clause: _Clause, reading: Reading) -> Statement:
    """What a clause without an action of its own does to its neighbours."""
    text, a, b = reading.text, clause.start, clause.end
    statement = Statement(a, b, clause.sentence, "other")
    deadlines = [found for found in _within(reading.deadlines, a, b) if not found.past]
    sums = _within(reading.sums, a, b)
    shares = _within(reading.shares, a, b)
    statement.deadline = deadlines[-1] if deadlines else None
    statement.amount = sums[-1] if sums else None
    statement.share = shares[-1].hundredths if shares and not sums else None
    statement.latest = reading.find(words.LATEST, a, b) is not None
    statement.correcting = reading.find(words.CORRECTING, a, b) is not None
    spans = (
        [(d.start, d.end) for d in deadlines] + [(s.start, s.end) for s in sums] + [(s.start, s.end) for s in shares]
    )
    core = _without(text, a, b, spans).replace(_BLANK, "").strip()
    mark = text[a : b + 1] if clause.asked else text[a:b]
    if clause.asked or reading.find(words.ASKING, a, b):
        statement.kind = "proposal" if words.PROPOSAL.search(mark) else "asking"
        return statement
    if not spans and _NUMBER.fullmatch(core) and core != "1":  # 15, to the question how much
        statement.kind, statement.amount = "bare", find_sums(f"{core}元")[0]
        return statement
    _judge_core(statement, core, bool(spans), text[a:b])
    return statement


def _without(text: str, a: int, b: int, spans: list[tuple[int, int]]) -> str:
    pieces, at = [], a
    for start, end in sorted(spans):
        pieces.append(text[at:start] if start > at else "")
        at = max(at, end)
    pieces.append(text[at:b])
    return "".join(pieces)


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


def _segments(clause: _Clause, acts: list[Act], reading: Reading, said_at: datetime) -> list[Statement]:
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
        statement.tone = _tone(statement, act, act_end, reading, clause, said_at)
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
    for found in _within(reading.sums, act_end, following):
        if end <= found.start <= end + 6 and found.end <= following:
            end = found.end
    return end


def _fill(statement: Statement, act: Act, act_end: int, reading: Reading, said_at: datetime) -> None:
    """Give an action its time and its sum."""
    a, b = statement.start, statement.end
    deadlines = [found for found in _within(reading.deadlines, a, b) if not found.past]
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
    sums = _within(reading.sums, a, b)
    after = [found for found in sums if found.end > act.start]
    statement.amount = after[0] if after else sums[-1] if sums else None
    shares = _within(reading.shares, a, b)
    statement.share = shares[-1].hundredths if shares and statement.amount is None else None
    statement.full = reading.find(FULL, a, b) is not None
    statement.partial = reading.find(PARTIAL, a, b) is not None


def _tone(statement: Statement, act: Act, act_end: int, reading: Reading, clause: _Clause, said_at: datetime) -> str:
    text, a = reading.text, statement.start
    if clause.asked or reading.find(words.ASKING, clause.start, clause.end):
        statement.open_asking = words.OPEN_ASKING.search(text, clause.start, clause.end) is not None
        return "none"
    doer = reading.find(words.OTHER_DOER, a, act_end) if act.action != "pickup" else None
    if doer is not None or _is_fact(statement, act, act_end, reading, said_at) or _is_policy(reading, clause):
        return "none"
    if reading.find(words.DOUBLE_NO, a, act.end):
        return "hedged"
    condition = reading.find(words.CONDITION, clause.start, clause.end)
    refused = _is_refused(statement, act, act_end, reading)
    if refused and (condition is None or condition.start() > act.start):
        return "refused"
    if condition is not None:
        statement.event = reading.find(words.EVENT, clause.start, clause.end) is not None
        return "conditional"
    if _is_then(statement, act, clause, reading):
        return "conditional"
    if _is_hedged(statement, act, reading, clause) or not _is_plain(statement, reading):
        return "hedged"
    if act.action == "reply_later" and statement.deadline is None:
        return "hedged"  # choice: an answer some time later is no promise
    return "unconditional" if _commits(statement, act, act_end, reading) else "none"


def _is_then(statement: Statement, act: Act, clause: _Clause, reading: Reading) -> bool:
    """Whether 就 makes the action the consequence of what stands before it: 货没问题就退款."""
    then = reading.text.find("就", statement.start, act.end)
    if then < 0:
        return False
    deadlines = _within(reading.deadlines, clause.start, then)
    before = _without(reading.text, clause.start, then, [(found.start, found.end) for found in deadlines])
    return words.BEFORE_THEN.fullmatch(before) is None


def _is_plain(statement: Statement, reading: Reading) -> bool:
    """Whether nothing stands in the clause that the grammar does not know: the unknown is not confirmed."""
    a, b = statement.start, statement.end
    spans = [(found.start, found.end) for found in _within(reading.deadlines, a, b)]
    spans += [(found.start, found.end) for found in _within(reading.sums, a, b)]
    spans += [(found.start, found.end) for found in _within(reading.shares, a, b)]
    spans += [(max(a, found.start), found.end) for found in _within(reading.acts, a, b)]
    left = _MARKS.sub("", words.PLAIN.sub("", _without(reading.text, a, b, spans)))
    return not left or (len(left) == 1 and words.RISKY.search(left) is None)


def _commits(statement: Statement, act: Act, act_end: int, reading: Reading) -> bool:
    """Whether the words say that it will be done, not just what it is called."""
    if statement.deadline is not None or statement.amount is not None or statement.share is not None:
        return True
    a, b = statement.start, statement.end
    beside = (act.start - a) + (b - act_end)
    return beside <= _BARE_ACT_CHARS_MAX or words.COMMITTING.search(reading.text, a, b) is not None


_POLICY: Final = re.compile(r"(?:支持|享受|享有|参加|参与).{0,8}(?:无理由|运费险|保价|质保|包退|包换)|无理由退")


def _is_policy(reading: Reading, clause: _Clause) -> bool:
    """支持七天无理由退货 tells the shop's terms, not what will be done here."""
    return reading.find(_POLICY, clause.start, clause.end) is not None


def _is_refused(statement: Statement, act: Act, act_end: int, reading: Reading) -> bool:
    if reading.find(words.REFUSAL, statement.start, act.end):
        return True
    if words.UNABLE_TAIL.match(reading.text, act_end):
        return True
    return reading.find(_LATE_NO, act_end, statement.end) is not None


def _is_hedged(statement: Statement, act: Act, reading: Reading, clause: _Clause) -> bool:
    text, deadline, amount = reading.text, statement.deadline, statement.amount
    if (deadline is not None and deadline.soft) or (amount is not None and amount.vague):
        return True
    if reading.find(words.LOOKING_INTO, statement.start, act.start):
        return True
    hedge = reading.find(words.HEDGE, statement.start, statement.end)
    if hedge is not None and not (statement.latest and hedge.group() in ("最快", "最早")):
        return True
    if words.SOFT_END.search(text, clause.start, clause.end) and statement.end == clause.end:
        return act.action not in _MONEY_ACTIONS or re.search("可以|能|会", text[clause.start : act.start]) is not None
    return False


def _is_fact(statement: Statement, act: Act, act_end: int, reading: Reading, said_at: datetime) -> bool:
    """已发货, 昨天退了, 发货了, 正在退款: it happened, or it goes on; nothing is promised."""
    text, a = reading.text, statement.start
    later = statement.deadline is not None and (
        statement.deadline.due_at is None or statement.deadline.due_at.date() > said_at.date()
    )
    timed = statement.deadline is not None
    if words.UNDONE.search(text, a, act.start):
        return True
    if not timed and words.HAPPENED_TO.match(text[act_end : statement.end]):
        return True
    if not timed and text.startswith("的", act_end) and words.PLACED.search(text, a, act.start):
        return True
    for hit in words.FACT_BEFORE.finditer(text, a, act_end):
        if any(
            d.start < hit.end() and hit.start() < d.end and not d.past for d in _within(reading.deadlines, a, act_end)
        ):
            continue
        return not (timed and words.ARRANGED.search(text, a, act_end))
    if words.FACT_AFTER.match(text, act_end) and not later:
        return words.FUTURE.search(text, a, act.start) is None
    return reading.find(words.ONGOING, a, act.start) is not None and not timed

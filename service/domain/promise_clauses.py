"""A reply taken apart: clauses, and in each what is said to be done, when, for how much, and in what tone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from service.domain import promise_scope as scope
from service.domain import promise_wording as words
from service.domain.promise_actions import ACTION, FULL, PARTIAL, Act, find_acts
from service.domain.promise_amount import MONEY, find_shares, find_sums
from service.domain.promise_pattern import Cued, cues_by_char, together
from service.domain.promise_plain import Known
from service.domain.promise_statement import Clause, Reading, Statement, within, without
from service.domain.promise_time import find_deadlines
from service.domain.promise_tone import tone_of

_STOP: Final = "。!?;…\n"
_PAUSE: Final = ",、 :()\\[\\]{}<>【】“”\"'‘’「」『』|~\u2600-\u27bf\U0001f000-\U0001faff"
# Group 1 where a sentence ends. Begins with one set of characters, which is what makes the search fast.
_SEPARATOR: Final = re.compile(
    f"[{_STOP}.{_PAUSE}-](?:(?:(?<=[{_STOP}])[{_STOP}]*|(?<=\\.)(?![0-9]))()|(?<=[{_PAUSE}])[{_PAUSE}]*|(?<=-)-+)"
)
_ANSWER_CHARS_MAX: Final = 24  # choice: a longer clause is no bare yes
_AFTERWARDS: Final = Cued("之后", r"(?:了|款|货)?(?:之后|以后|后(?!天|续|台|面))")
_FIRST_DONE: Final = re.compile(r"了(?:[给就再才]|马上|立|即|我)")
_NUMBER_TWICE: Final = re.compile(r"([0-9.]+|[一二两三四五六七八九十百]+)就\1")  # 30就30
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,2})?")
_HAN_NUMBER: Final = re.compile(r"(?=.*[十百千])[零一二两三四五六七八九十百千]{1,8}|[二三四五六七八九]十?")
_BARE_EVENT_CHARS_MAX: Final = 6  # choice: 样品确认, 换个地址 and the like are short; who explains himself is longer
_LISTED_CHARS_MAX: Final = 1  # choice: 退货、换货 share what is said of them
_BLANK: Final = "\x00"
_EDGES: Final = " ,。!?;~…\n"
_EMPHASIS_CHARS_MAX: Final = 6  # choice: “今天”发货 is emphasis, with its marks; more is somebody's words
_MONEY_ACTIONS: Final = frozenset(("refund", "compensate"))


def blank(text: str, pattern: Cued) -> str:
    """The text with every hit overwritten, so that all positions stay."""
    return pattern.sub(lambda hit: _BLANK * (hit.end() - hit.start()), text)


def read(spelled: str, said_at: datetime, *, acts_only: bool) -> Reading:
    """Take a text in the one spelling apart into statements, in order; with `acts_only` none if nothing is done."""
    text, by_char = spelled, cues_by_char(spelled)
    cues = together(by_char)
    if cues & (words.INNOCENT.bit | words.QUOTED.bit):
        text = words.QUOTED.sub(_unquoted, blank(spelled, words.INNOCENT))
    acts = find_acts(text) if cues & ACTION.bit else []
    if acts_only and not acts:
        return Reading(text, [], [], [], [], [])
    if text is not spelled:
        by_char = cues_by_char(text)
    deadlines = find_deadlines(text, said_at, cues)
    reading = Reading(text, by_char, deadlines, find_sums(text, cues), find_shares(text, cues), acts)
    if acts:
        reading.known = _known(reading)
    saying_sentence = -1
    for clause in _clauses(reading):
        saying_sentence = _read_clause(clause, reading, said_at, saying_sentence)
    return reading


def _known(reading: Reading) -> Known:
    """What of the text is understood: plain words, times, sums, shares and verbs."""
    known = Known(reading.text)
    for deadline in reading.deadlines:
        known.mark(deadline.start, deadline.end)
    for amount in reading.sums:
        known.mark(amount.start, amount.end)
    for share in reading.shares:
        known.mark(share.start, share.end)
    for act in reading.acts:
        known.mark(act.start, act.end)
    return known


def _unquoted(hit: re.Match[str]) -> str:
    """Other people's words in quotation marks say nothing of one's own."""
    whole = not hit.string[: hit.start()].strip(_EDGES) and not hit.string[hit.end() :].strip(_EDGES)
    short = hit.end() - hit.start() <= _EMPHASIS_CHARS_MAX
    before = hit.string[max(0, hit.start() - 8) : hit.start()]
    if whole or (short and not words.UNLESS_QUOTED.search(before)):
        return hit.group()
    return _BLANK * (hit.end() - hit.start())


def _clauses(reading: Reading) -> list[Clause]:
    """Clauses between separators; a separator inside a time or a sum parts nothing."""
    text = reading.text
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
            clauses.append(Clause(reading, start, at, sentence, asked=asked))
        elif clauses and asked:
            clauses[-1].asked = True
        start = after
        sentence += hit.lastindex is not None
    if start < len(text):
        clauses.append(Clause(reading, start, len(text), sentence, asked=False))
    return clauses


def _read_clause(clause: Clause, reading: Reading, said_at: datetime, saying_sentence: int) -> int:
    """Append the statements of a clause; returns the sentence that somebody else is being quoted in, or -1."""
    a, b = clause.start, clause.end
    if not clause.asked and clause.cues & words.POLITE.bit and words.POLITE.fullmatch(clause.text, a, b):
        reading.statements.append(Statement(a, b, clause.sentence, "filler"))
        return saying_sentence
    said = clause.find(words.SAYING, a, b)
    demanded = clause.find(words.DEMANDING, a, b)
    said_before = saying_sentence == clause.sentence
    own = (demanded is not None or said_before) and _own_voice(clause, demanded)
    if said is not None:
        saying_sentence = clause.sentence
    elif saying_sentence == clause.sentence and own:
        saying_sentence = -1
    foreign = said.start() if said else a if saying_sentence == clause.sentence else None
    acts = clause.acts
    buyer = clause.find(words.BUYER_DOES, a, b)
    if buyer is not None:
        acts = [act for act in acts if not (buyer.start() <= act.start < buyer.end())]
    if acts and (payer := clause.find(scope.BUYER_PAYS, a, b)) is not None:
        acts = [act for act in acts if act.action != "compensate"]
        if acts:
            reading.statements.append(
                Statement(payer.start(), payer.end(), clause.sentence, "condition", backward=True)
            )
    if not acts:
        statement = _bare_clause(clause)
        if statement.kind in ("other", "generic", "deferring", "bare"):
            duty = clause.find(scope.BUYER_FIRST, a, b)
            statement.backward = duty is not None
            buyer = buyer or duty
            if buyer is None and (scope.NOT_YET.search(clause.text, a, b) or not scope.ASIDE.search(clause.text, a, b)):
                buyer = words.BUYER_SUBJECT.match(clause.text, a, b)
        if buyer is not None and statement.kind in ("other", "generic", "deferring", "bare") and not _told(clause):
            statement.kind = "buyer"
        if foreign is not None and statement.kind not in ("asking", "proposal"):
            statement.kind, statement.foreign = "other", True
            statement.strange = statement.strange or (said is not None and said.end() >= b - 1)  # 仓库说: the rest
        if statement.kind == "buyer":
            statement.strange = not scope.ASIDE.search(clause.text, a, b)
        reading.statements.append(statement)
        return saying_sentence
    if buyer is not None and buyer.end() <= acts[0].start:
        reading.statements.append(Statement(buyer.start(), buyer.end(), clause.sentence, "buyer"))
    if clause.find(words.IF, a, acts[0].start) and words.NOT_OURS.search(clause.text, a, acts[0].start):
        reading.statements.append(Statement(a, b, clause.sentence, "condition", backward=True))  # 只要他不退款
        return saying_sentence
    for statement in _segments(clause, acts, said_at):
        if demanded is not None and demanded.start() < statement.end and not own:
            agrees = demanded.group().endswith("同意") and not scope.DONE.search(clause.text, clause.start, clause.end)
            if agrees or scope.STILL_STRING.search(clause.text, demanded.start(), statement.end):  # 他同意就行
                statement.kind, statement.backward = "condition", True
            statement.tone, statement.demanded = "none", True
        elif foreign is not None and foreign < statement.end:
            statement.tone, statement.foreign = "none", True
        reading.statements.append(statement)
    return saying_sentence


def _told(clause: Clause) -> bool:
    """Whether the buyer has done it already, or has only to wait: 客户反映的情况我们核实过了, 在家等着就行."""
    if scope.AT_EASE.search(clause.text, clause.start, clause.end):
        return True
    done = scope.DONE.search(clause.text, clause.start, clause.end)
    return done is not None and not scope.NOT_YET.search(clause.text, clause.start, clause.end)


def _own_voice(clause: Clause, demanded: re.Match[str] | None) -> bool:
    """Whether the shop speaks of itself, beside what somebody else demands of it."""
    start = clause.start
    if demanded is not None:
        wished = words.THEMSELVES.match(clause.text, demanded.end(), clause.end)
        start = wished.end() if wished else demanded.end()
    return clause.find(words.OWN_VOICE, start, clause.end) is not None


def _bare_clause(clause: Clause) -> Statement:
    """What a clause without an action of its own does to its neighbours."""
    text, a, b, sums, shares = clause.text, clause.start, clause.end, clause.sums, clause.shares
    statement = Statement(a, b, clause.sentence, "other")
    deadlines = [found for found in clause.deadlines if not found.past and not text.endswith("不是", a, found.start)]
    statement.deadline = deadlines[-1] if deadlines else None
    statement.amount = sums[-1] if sums else None
    statement.share = shares[-1].hundredths if shares and not sums else None
    statement.latest = clause.find(words.LATEST, a, b) is not None
    statement.correcting = clause.find(words.CORRECTING, a, b) is not None
    spans = [(each.start, each.end) for found in (deadlines, sums, shares) for each in found]
    core = without(text, a, b, spans).replace(_BLANK, "").strip()
    if clause.asked or clause.find(words.ASKING, a, b):
        mark = text[a : b + 1] if clause.asked else text[a:b]
        statement.kind = "proposal" if words.PROPOSAL.search(mark) else "asking"
        statement.doubting = not clause.asked and clause.find(scope.DOUBT, a, b) is not None
        return statement
    if core == "不":
        statement.correcting = True
    number = _only_field_words(_NUMBER_TWICE.sub(r"\1", core)).strip("就吧的哈哦")
    if not spans and number != "1" and (_NUMBER.fullmatch(number) or _HAN_NUMBER.fullmatch(number)):  # 15, 一百二
        statement.kind, statement.amount = "bare", find_sums(f"{number}元", MONEY.bit)[0]
        return statement
    _judge_core(statement, core, bool(spans), clause)
    return statement


_VAGUE_DAY: Final = re.compile(r"[月年](?:初|中|底|末)|[上中下]旬")  # 月初吧
_VAGUE_COUNT: Final = re.compile(r"[一二两三四五六七八][二两三四五六七八九](?:个工作日|小时|[天日周])")  # 一两天吧


def _judge_core(statement: Statement, core: str, has_fields: bool, clause: Clause) -> None:
    """Set the kind of a clause without an action from what is left beside its times and sums."""
    cues = clause.cues
    hedged = cues & words.HEDGE.bit and words.HEDGE.search(core) is not None
    hedged = hedged or (statement.deadline is not None and statement.deadline.soft)
    unhedged = words.HEDGE.sub("", core) if hedged else core
    short = 0 < len(unhedged) <= _ANSWER_CHARS_MAX
    yes = words.ACK_YES.fullmatch(unhedged) if short and cues & words.ACK_YES.bit else None
    whole = clause.text[clause.start : clause.end]
    vague = statement.amount is not None and statement.amount.vague  # 十几块吧
    statement.tone = "hedged" if hedged or vague else "unconditional"
    if cues & scope.CARRIAGE.bit and scope.CARRIAGE.search(core) and not has_fields:
        statement.kind = "filler"
    elif cues & words.CONDITION.bit and words.CONDITION.search(whole):
        statement.kind = "condition"
        statement.backward = words.BACKWARD_CONDITION.search(whole) is not None
        statement.event = words.EVENT.search(whole) is not None
        statement.consequence = words.CONSEQUENCE.search(core) is not None
    elif cues & words.ACK_NO.bit and (words.ACK_NO.search if has_fields else words.ACK_NO.fullmatch)(unhedged):
        statement.kind, statement.tone = "no", "refused"
    elif cues & words.ACK_ONLY_HEARD.bit and words.ACK_ONLY_HEARD.fullmatch(core):
        statement.kind = "heard"
    elif yes is not None:
        thanking = "谢" in core and core.startswith(("好", "嗯", "是", "对"))  # 好的谢谢
        statement.kind = "heard" if thanking else "yes"
        statement.strong = yes["ack"] in words.ACK_STRONG or not core.startswith(("好", "嗯", "是", "对"))
        if core.endswith("吧") and not core.startswith(("好", "行", "那")):
            statement.tone = "hedged"
    elif hedged and words.FILLER.fullmatch(unhedged):
        statement.kind = "bare" if has_fields else "hedge"
    elif has_fields and words.FILLER.fullmatch(_only_field_words(core)):
        statement.kind = "bare"
        if core.endswith("吧") and (_VAGUE_COUNT.search(whole) or _VAGUE_DAY.search(whole)):
            statement.tone = "hedged"
    elif (
        cues & words.GENERIC.bit and words.GENERIC.search(core) and "去" not in core and not words.REFUSAL.search(core)
    ):
        statement.kind = "generic"
    elif cues & words.DEFERRING.bit and words.DEFERRING.search(core):
        statement.kind = "deferring"
    elif words.FILLER.fullmatch(core):
        statement.kind = "filler"
    if statement.kind in ("other", "deferring", "generic", "bare"):
        _judge_strings(statement, core, whole, cues)
    if statement.kind in ("other", "generic", "deferring") and not statement.doubting and not statement.correcting:
        short = clause.end - clause.start <= _BARE_EVENT_CHARS_MAX
        statement.strange = (
            short
            and not scope.ASIDE.search(whole)
            and not (statement.kind == "generic" and Known(core).holds(0, len(core)))
        )


def _judge_strings(statement: Statement, core: str, whole: str, cues: int) -> None:
    """Whether a clause that does nothing itself ties what is done beside it to the buyer, or doubts it."""
    if (
        cues & scope.STRINGS.bit
        and scope.STRINGS.search(whole)
        and (scope.STILL_STRING.search(whole) or not scope.NO_STRING.search(whole))
    ):
        statement.kind, statement.backward = "condition", True
    elif statement.kind == "bare":
        return
    elif (
        cues & scope.DOUBT.bit and (doubt := scope.DOUBT.search(whole)) is not None and not scope.NO_DOUBT.search(whole)
    ):
        statement.doubting = True
        statement.weighing = scope.WEIGHING.match(doubt.group()) is not None
    elif statement.kind == "other" and scope.TURN.match(whole) and not scope.NO_DOUBT.search(whole):
        statement.doubting = not words.FILLER.fullmatch(scope.TURN.sub("", core))


_FIELD_WORDS: Final = re.compile(
    r"最晚|最迟|至迟|不超过|不晚于|不对|(?:说|打|写|搞|看|记)错了?|更正|改为|改成|改到|应为|是|不是|哦不|啊不"
    r"|不不|就|那|吧|会|补|转|打|付|取件?|上门取?|来取|去取|差价|差|补偿|赔偿|红包|只能|打给|转给|(?<=给)(?:他|她|客户|买家|客人|您|你)|认了?|的|在|一共|总共|共|可以|能|全部|到|金额|时间|至少|给"
)


def _only_field_words(core: str) -> str:
    return _FIELD_WORDS.sub("", core)


def _segments(clause: Clause, acts: Sequence[Act], said_at: datetime) -> list[Statement]:
    """One statement for each action of a clause, each with the words that are about it."""
    text, a, b = clause.text, clause.start, clause.end
    merged: list[tuple[Act, int]] = []
    for act in acts:
        last = merged[-1] if merged else None
        beside = last is not None and act.start - last[1] <= 2 and "了" not in text[last[1] : act.start]
        if last is not None and beside and last[0].action == act.action:
            merged[-1] = (last[0], act.end)
        else:
            merged.append((act, act.end))
    statements: list[Statement] = []
    start = a
    for index, (act, act_end) in enumerate(merged):
        following = merged[index + 1][0].start if index + 1 < len(merged) else b
        end = _segment_end(clause, act_end, following) if following < b else b
        statement = Statement(start, end, clause.sentence, "act", action=act.action, verb=text[act.start : act_end])
        statement.verb_start, statement.verb_end = act.start, act_end
        _fill(statement, act, act_end, clause)
        statement.tone = tone_of(statement, act, act_end, clause, said_at)
        if index:
            _bear_on(statements[-1], statement, act, clause)
        statements.append(statement)
        start = end
    for second, first in pairwise(reversed(statements)):
        listed = second.verb_start - first.verb_end <= _LISTED_CHARS_MAX
        if listed and first.tone == "unconditional" and second.tone in ("hedged", "conditional", "refused"):
            first.tone = second.tone  # 退货退款换货都可以谈
    return statements


def _bear_on(first: Statement, second: Statement, act: Act, clause: Clause) -> None:
    """What the words before an action say of it and of the action before."""
    text, start = clause.text, second.start
    if clause.cues & _AFTERWARDS.bit and _AFTERWARDS.match(
        text, start
    ):  # 补差价5元后发货: the second waits for the first
        first.tone, second.tone = "none", "conditional"
    if _FIRST_DONE.search(text, start - 1, act.start):  # 钱到账了给退
        second.tone = "conditional"
    choice = clause.find(words.CHOICE, start, act.start) is not None
    if choice or (clause.cues & words.TOGETHER.bit and words.TOGETHER.search(text[start : act.start])):
        _join(first, second, choice=choice)


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


def _segment_end(clause: Clause, act_end: int, following: int) -> int:
    """Where the words about an action end: after its own sum and its 不了/了, before the next one's time."""
    end = act_end
    tail = clause.follows(words.UNABLE_TAIL, act_end) or clause.follows(words.FACT_AFTER, act_end)
    if tail and tail.end() <= following:
        end = tail.end()
    for found in within(clause.sums, act_end, following):
        if end <= found.start <= end + 6 and found.end <= following:
            end = found.end
    return end


def _fill(statement: Statement, act: Act, act_end: int, clause: Clause) -> None:
    """Give an action its time and its sum."""
    a, b = statement.start, statement.end
    deadlines = [found for found in within(clause.deadlines, a, b) if not found.past]
    statement.latest = clause.find(words.LATEST, a, b) is not None
    statement.correcting = clause.find(words.CORRECTING, a, b) is not None
    if deadlines:
        before = [found for found in deadlines if found.end <= act_end]
        statement.deadline = before[-1] if before else deadlines[0]
        if statement.latest or statement.correcting:
            statement.deadline = deadlines[-1]
    statement.arrival = statement.verb == "到账"
    if act.action not in _MONEY_ACTIONS:
        return
    sums = within(clause.sums, a, b)
    after = [found for found in sums if found.end > act.start]
    statement.amount = after[0] if after else sums[-1] if sums else None
    shares = within(clause.shares, a, b)
    statement.share = shares[-1].hundredths if shares and statement.amount is None else None
    statement.full = clause.find(FULL, a, b) is not None
    statement.partial = clause.find(PARTIAL, a, b) is not None
    statement.some = statement.partial and "部分" in clause.text[a:b]

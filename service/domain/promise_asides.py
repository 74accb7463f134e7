"""What a clause without an action says beside a promise: a yes, a condition, a doubt, or a word that soothes."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from service.domain import promise_scope as scope
from service.domain import promise_wording as words
from service.domain.promise_amount import MONEY, find_sums
from service.domain.promise_pattern import led
from service.domain.promise_plain import BLANK, understood
from service.domain.promise_statement import Clause, Statement, without

_NOT_DOING: Final = re.compile(
    rf"(?<!这就)(?<!马上)(?<!现在)去|银行|快递|平台|系统|厂家|{words.REFUSAL.pattern}"
)  # 去处理, 银行处理3天
_ANSWER_CHARS_MAX: Final = 24  # choice: a longer clause is no bare yes
_BARE_EVENT_CHARS_MAX: Final = 6  # choice: 样品确认, 换个地址 and the like are short; who explains himself is longer
_NUMBER_CHARS_MAX: Final = 16  # choice: a sum in words with what may stand about it
_NUMBER_TWICE: Final = re.compile(r"([0-9.]+|[一二两三四五六七八九十百]+)就\1")  # 30就30
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,2})?")
_HAN_NUMBER: Final = re.compile(r"(?=.*[十百千])[零一二两三四五六七八九十百千]{1,8}|[二三四五六七八九]十?")
_NUMERAL: Final = re.compile(r"[0-9二三四五六七八九十百千]")
_TWICE: Final = re.compile(r"^(.{1,3}?)\1+")  # 阔以阔以, 行行行
_VAGUE_DAY: Final = re.compile(r"[月年](?:初|中|底|末)|[上中下]旬")  # 月初吧
_VAGUE_COUNT: Final = re.compile(
    r"[一二两三四五六七八][二两三四五六七八九](?:个工作日|小时|[天日周])|今明|明后"
)  # 一两天吧
KEPT_CHARS_MAX: Final = 40  # choice: longer clauses are hardly written twice
_KEPT_MAX: Final = 8192  # choice: what is said beside promises is said in few words, again and again
_UNDECIDED: Final = frozenset(("other", "generic", "deferring", "bare"))
_CHANGING: Final = words.LATEST.bit | words.CORRECTING.bit
_JUDGED: Final = (
    words.HEDGE.bit
    | words.ACK_YES.bit
    | scope.CARRIAGE.bit
    | words.CONDITION.bit
    | words.BUYER_CONDITION.bit
    | words.ACK_NO.bit
    | words.ACK_ONLY_HEARD.bit
    | words.GENERIC.bit
    | words.DEFERRING.bit
)
_FIELD_WORDS: Final = led(
    "一上不买了也他付会但你全共写到办原去发取只可合吧呀呗哈哦啊嘛在多她客就差应弄微总您打拖搞支改整时是晚更最有来款汇活的看等红约给能至补要认记说账货赔转那金",
    r"(?:微信|支付宝)?(?:转账|汇款|打款)|到(?:您|他|她|客户|买家)?的?(?:账户|账上?|余额|卡里?|微信|支付宝|手里?|手上)|最晚|最迟|至迟|不超过|不晚于|不对|(?:说|打|写|搞|看|记)错了?|更正|改为|改成|改到|应为|是|不是|哦不|啊不"
    r"|不不|就|那|吧|会|补|转|打|付|发放|给券|发券|取件?|上门取?|来取|去取|差价|差|补偿|赔偿|红包|约(?:的|好|在)|不多|合计|总计|多[收付扣]了?[您你]?|(?:就)?有(?:快递员?|人|小哥|师傅)|支付|整单|整|款子|货款|款|活动|嘛|呀|呗|了|哈|的事儿?|不过|但是?|只|要?(?:拖|等|晚|改)到|搞定|搞得定|弄好|办好|到位|原路(?:返回|回去|退回)?|打过去|转过去|汇过去|[打转发](?=您|你)|一定|汇|账户|只能|打给|转给|(?<=给)(?:他|她|客户|买家|客人|您|你)|认了?|的|在|也是|一共|总共|共|可以|能|全部|到|金额|时间|至少|给",
)


class Aside(NamedTuple):
    """A clause that does nothing and names no time or sum, judged by its words alone."""

    says: bool  # it names whose words follow
    trailing: bool  # …and nothing of them follows in it
    soothing: bool
    statement: Statement


@lru_cache(maxsize=_KEPT_MAX)
def aside(text: str, cues: int, asked: bool, blanked: bool) -> Aside:
    """Judge a clause by its words; whoever writes them, they say the same."""
    clause = Clause.alone(text, cues, asked=asked)
    polite = cues & words.POLITE.bit or blanked
    if polite and not asked and words.POLITE.fullmatch(text):
        return Aside(says=False, trailing=False, soothing=True, statement=Statement(0, 0, 0, "filler"))
    said = clause.find(words.SAYING, 0, len(text))
    statement, soothing = without_act(clause, clause.find(words.BUYER_DOES, 0, len(text)))
    trailing = said is not None and said.end() >= len(text) - 1
    return Aside(says=said is not None, trailing=trailing, soothing=soothing, statement=statement)


def without_act(clause: Clause, buyer: re.Match[str] | None) -> tuple[Statement, bool]:
    """What a clause without an action of the shop is, and whether it soothes if it is about the buyer."""
    a, b = clause.start, clause.end
    statement = _bare_clause(clause)
    soothing = True
    if statement.kind in _UNDECIDED:
        duty = clause.find(scope.BUYER_FIRST, a, b)
        statement.backward = duty is not None
        buyer = buyer or duty
        if buyer is None:
            buyer = clause.follows(words.BUYER_SUBJECT, a)
            if buyer and not scope.NOT_YET.search(clause.text, a, b) and scope.ASIDE.search(clause.text, a, b):
                buyer = None
        if buyer is not None and not _told(clause):
            statement.kind, soothing = "buyer", _soothes(clause)
    return statement, soothing


def _soothes(clause: Clause) -> bool:
    """Whether a clause about the buyer tells or soothes, or names nothing that could be waited for."""
    if scope.ASIDE.search(clause.text, clause.start, clause.end):
        return True
    return scope.EVENTFUL.search(clause.text, clause.start, clause.end) is None


def voiced(statement: Statement, *, foreign: bool, trailing: bool, soothing: bool) -> Statement:
    """The statement in the voice it stands in: the words of others say nothing themselves."""
    if foreign and statement.kind not in ("asking", "proposal"):
        statement.kind, statement.foreign = "other", True
        statement.strange = statement.strange or trailing  # 仓库说: the rest
    elif statement.kind == "buyer":
        statement.strange = not soothing
    return statement


def _told(clause: Clause) -> bool:
    """Whether the buyer has done it already, or has only to wait: 客户反映的情况我们核实过了, 在家等着就行."""
    if scope.AT_EASE.search(clause.text, clause.start, clause.end):
        return True
    done = scope.DONE.search(clause.text, clause.start, clause.end)
    return done is not None and not scope.NOT_YET.search(clause.text, clause.start, clause.end)


def own_voice(clause: Clause, demanded: re.Match[str] | None) -> bool:
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
    if clause.cues & _CHANGING:
        statement.latest = clause.find(words.LATEST, a, b) is not None
        statement.correcting = clause.find(words.CORRECTING, a, b) is not None
    spans = [(each.start, each.end) for found in (deadlines, sums, shares) for each in found]
    core = (without(text, a, b, spans) if spans else text[a:b]).replace(BLANK, "").strip()
    if clause.asked or clause.find(words.ASKING, a, b):
        mark = text[a : b + 1] if clause.asked else text[a:b]
        statement.kind = "proposal" if words.PROPOSAL.search(mark) else "asking"
        statement.doubting = clause.find(scope.HARD_DOUBT, a, b) is not None
        if not (clause.asked or statement.doubting):
            statement.doubting = clause.find(scope.DOUBT, a, b) is not None
        return statement
    if core == "不":
        statement.correcting = True
    if not spans and (number := _number_in(core)):  # 15, 一百二
        statement.kind, statement.amount = "bare", find_sums(f"{number}元", MONEY.bit)[0]
        return statement
    _judge_core(statement, core, bool(spans), clause)
    return statement


def _number_in(core: str) -> str | None:
    """The bare number that a clause consists of, to the question how much; None if it says anything else."""
    if len(core) > _NUMBER_CHARS_MAX or not _NUMERAL.search(core):
        return None
    number = _only_field_words(_NUMBER_TWICE.sub(r"\1", core)).strip("就吧的哈哦")
    return number if number != "1" and (_NUMBER.fullmatch(number) or _HAN_NUMBER.fullmatch(number)) else None


def _judge_core(statement: Statement, core: str, has_fields: bool, clause: Clause) -> None:
    """Set the kind of a clause without an action from what is left beside its times and sums."""
    cues = clause.cues
    whole = clause.text[clause.start : clause.end]
    if not (has_fields or cues & _JUDGED):
        if words.FILLER.fullmatch(core):
            statement.kind = "filler"
        else:
            _judge_strings(statement, core, whole, cues)
            _judge_strange(statement, core, whole)
        return
    hedged = cues & words.HEDGE.bit and words.HEDGE.search(core) is not None
    hedged = hedged or (statement.deadline is not None and statement.deadline.soft)
    unhedged = words.HEDGE.sub("", core) if hedged else core
    short = 0 < len(unhedged) <= _ANSWER_CHARS_MAX
    yes = words.ACK_YES.fullmatch(_TWICE.sub(r"\1", unhedged)) if short and cues & words.ACK_YES.bit else None
    vague = statement.amount is not None and statement.amount.vague  # 十几块吧
    statement.tone = "hedged" if hedged or vague else "unconditional"
    if cues & scope.CARRIAGE.bit and scope.CARRIAGE.search(core) and not has_fields:
        statement.kind = "filler"
    elif _hangs(whole, cues) and not words.NARRATIVE.search(whole):
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
        if scope.HARD_DOUBT.search(core) or (core.endswith("吧") and not core.startswith(("好", "行", "那"))):
            statement.tone = "hedged"
    elif hedged and words.FILLER.fullmatch(unhedged):
        statement.kind = "bare" if has_fields else "hedge"
    elif has_fields and words.FILLER.fullmatch(_only_field_words(unhedged if statement.latest else core)):
        statement.kind = "bare"
        if statement.latest:
            statement.tone = "unconditional"
        if core.endswith("吧") and (_VAGUE_COUNT.search(whole) or _VAGUE_DAY.search(whole)):
            statement.tone = "hedged"
    elif cues & words.GENERIC.bit and words.GENERIC.search(core) and not _NOT_DOING.search(core):
        statement.kind = "generic"
    elif cues & words.DEFERRING.bit and words.DEFERRING.search(core):
        statement.kind = "deferring"
    elif words.FILLER.fullmatch(core):
        statement.kind = "filler"
    if statement.kind in ("other", "deferring", "generic", "bare"):
        _judge_strings(statement, core, whole, cues)
    if statement.kind == "other" and not statement.doubting and _names_sum(clause):
        statement.kind, statement.naming = "bare", True
    if statement.kind == "generic":
        statement.firm = has_fields and statement.tone == "unconditional" and understood(core)
    if statement.kind in ("other", "generic", "deferring"):
        _judge_strange(statement, core, whole)


def _names_sum(clause: Clause) -> bool:
    """没充上的五十块: a clause that only says which sum it is."""
    if len(clause.sums) != 1 or clause.deadlines or clause.sums[0].end != clause.end:
        return False
    return clause.text[clause.sums[0].start - 1 : clause.sums[0].start] in ("的", "这", "那")


def _hangs(whole: str, cues: int) -> bool:
    """Whether a clause is a condition."""
    if cues & words.CONDITION.bit and words.CONDITION.search(whole):
        return True
    named = cues & words.BUYER_NAMED.bit and cues & words.BUYER_CONDITION.bit
    return bool(named and words.BUYER_CONDITION.search(whole))


def _tied(whole: str, cues: int) -> bool:
    """Whether a clause lays a duty on the buyer."""
    if cues & scope.STRINGS.bit and scope.STRINGS.search(whole):
        return True
    named = cues & words.BUYER_NAMED.bit and cues & scope.BUYER_STRINGS.bit
    return bool(named and scope.BUYER_STRINGS.search(whole))


def _judge_strange(statement: Statement, core: str, whole: str) -> None:
    """Whether a clause may be what a promise hangs on: short, and neither told nor soothing (样品确认, 换个地址)."""
    tied = statement.doubting or statement.correcting or statement.kind == "condition"
    if tied or len(whole) > _BARE_EVENT_CHARS_MAX:
        return
    plain = statement.kind == "generic" and understood(core)
    statement.strange = not plain and scope.EVENTFUL.search(core) is not None and not scope.ASIDE.search(whole)


def _judge_strings(statement: Statement, core: str, whole: str, cues: int) -> None:
    """Whether a clause that does nothing itself ties what is done beside it to the buyer, or doubts it."""
    if _tied(whole, cues) and (scope.STILL_STRING.search(whole) or not scope.NO_STRING.search(whole)):
        statement.kind, statement.backward = "condition", True
    elif statement.kind == "bare":
        return
    elif cues & scope.HARD_DOUBT.bit and scope.HARD_DOUBT.search(whole):
        statement.doubting = True
    elif (
        cues & scope.DOUBT.bit and (doubt := scope.DOUBT.search(whole)) is not None and not scope.NO_DOUBT.search(whole)
    ):
        statement.doubting = True
        statement.weighing = scope.WEIGHING.match(doubt.group()) is not None
    elif statement.kind == "other" and scope.TURN.match(whole) and not scope.NO_DOUBT.search(whole):
        statement.doubting = not words.FILLER.fullmatch(scope.TURN.sub("", core))


def _only_field_words(core: str) -> str:
    return _FIELD_WORDS.sub("", core)

"""The wide net over what is said in the platform's name: any act with a time, a sum or an assurance is caught."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.domain.calendar import SHANGHAI
from service.domain.normalise import BLANK_LETTERS
from service.domain.promise_spelling import FORMAL_DIGITS, TRADITIONAL
from service.domain.promise_text import extract, relayable

_ANY_INSTANT: Final = datetime(2025, 1, 1, tzinfo=SHANGHAI)  # whether words promise does not hang on when
SPANS_MAX: Final = 50  # choice: enough to show what is wrong


@dataclass(frozen=True, slots=True)
class Span:
    """Words caught, as code points of the text as written, half-open; `sort`: act | time | sum | assurance."""

    start: int
    end: int
    sort: str


_NOUN: Final = (
    r"(?!时间|时效|地址|地点|单号|进度|流程|申请|原因|信息|方案|规则|规定|政策|问题|记录|状态|诉求|要求|请求"
    r"|条件|情况|金额|数量|日期|渠道|方式|政策"
    r"|凭证|说明|纠纷|争议|事宜|订单|失败|类型|按钮|入口|页面|服务单)"
)
# What was asked, refused or has happened is no promise: 申请退款, 未发货, 要求赔偿, 是否退款.
_NOT_DONE: Final = (
    r"(?<!申请)(?<!要求)(?<!诉求)(?<!请求)(?<!希望)(?<!未)(?<!没)(?<!没有)(?<!拒绝)(?<!是否)"
    r"(?<!关于)(?<!不同意)(?<!还是)(?<!或)(?<!或者)(?<!要)(?<!想)(?<!待)(?<!催)"
)
STRONG_ACT: Final = re.compile(
    rf"{_NOT_DONE}(?:发货{_NOUN}|发出(?!的)|寄出|寄给|寄送|补发{_NOUN}|补寄|重发|重寄|重新发|退款{_NOUN}|退钱"
    rf"|退还|退回给?[您你]|全额退|原路退|退[您你给]|退货退款{_NOUN}|赔付{_NOUN}|赔偿{_NOUN}|赔[您你给]"
    rf"|转钱|打钱|划拨|打过[去来]|补偿{_NOUN}|补[您你给]|返现|返还|换货{_NOUN}|换新|更换|上门取件|取件|揽收|送达|送到|(?<!收)到货|到账|打款|免单"
    rf"|优惠券(?!使用|记录|活动|已|过期|规则)|红包(?!记录|规则)|代金券(?!规则)|运费险|承担运费|出运费|包邮|减免|报销|赠送|补差|退差)"
    r"|(?<![a-z])(?:f货|发h|fh|t款|退k|tk|bf|补f)(?![a-z])"  # typed in first letters
    r"|(?:回到?|到|进|打到|退到|返到)[您你]的?(?:账|手|家|卡|口袋|钱包|支付宝|微信|银行)"
    r"|(?<![开批触研头沙爆颁启激诱突漏错少代首散蒸未没待催现])发(?=给[您你]|[您你]|过去|走|顺丰|快递)|(?:给|为"
    r"|帮)[您你](?:们)?(?:发(?!送?[短消通链])|寄|退|赔|补|换|送)"
)
WEAK_ACT: Final = re.compile(
    r"处理(?!时间|进度|情况|中|人员)|解决(?!方案)|办理|回复|答复|反馈|联系|回电|通知|安排|搞定|落实|跟进|操作"
    r"|派人|办结|结案|给[您你](?:个|一个)?(?:结果|说法|交代)|有结果|出结果|到(?!底|处|时候|[0-9零一二三四五六七八九十])|拿到|收到(?!您|你|了|贵|申请|商家)"
    r"|发(?!现|票|生|送|布|起|图|照|视|截|来|一?[张个下])|寄|退(?!款|货|换)|返回|赔|换(?!货)|送(?!达|到)|可以"
    r"|没问题|同意|答应|补(?![充交拍传救])|[走给](?=$|[。!?\n吧])"
)
TIME: Final = re.compile(
    r"今[天日晚早明儿夜]|明[天日晚早后儿]|后[天日]|当[天日晚]|次日|隔天|[上下中]午|凌晨|傍晚|晚上|今年|年[底内]"
    r"|月[底初末内]|[本这下]个?(?:周|星期|礼拜|月)|(?:周|星期|礼拜)[一二三四五六日天末1-7]"
    r"|(?!几[号点])[0-9零一二两三四五六七八九十半几]{1,5}(?:个)?(?:工作日|小时|钟头|分钟|天|日|号|周|星期|礼拜|月|点钟?"
    r"|h(?![a-z]))|[0-9]{1,2}[:.][0-9]{2}|[0-9]{1,2}月|(?:天|日|小时|周|月|时间)(?:之|以)?[内前]|最[晚迟]|到期"
    r"|截止|几天|这两天|马上|立刻|立即|即刻|很快|稍后就|第一时间|尽快|尽早|随后|到时候?(?!间)|稍后|晚点|过[几两]天|改天"
)
DEFINITE_TIME: Final = re.compile(
    r"^(?:马上|立刻|立即|即刻|很快|第一时间|尽快|尽早|随后|到时候?|稍后|晚点|过[几两]天|改天)$"
)
SUM: Final = re.compile(
    r"[¥$€]\s?[0-9一二两三四五六七八九十百千万]+|[0-9一二两三四五六七八九十百千万.]{1,12}(?:元|块|圆|角|毛|rmb"
    r"|cny|分钱)|(?:元|块钱)|一半|全额|全款|[0-9]{1,3}%|百分之|[一二三四五六七八九]成(?!功|本|交|立)|全部退"
    r"|双倍|[0-9一二两三十]倍"
)
ASSURANCE: Final = re.compile(
    r"一定|肯定|保证|确保|承诺|必定|必然|绝对|放心|包在|答应|同意(?!书)|担保|务必|将(?!信)|会(?!员|话|议|影响)"
    r"|可以|能(?!否|不能)|愿意|给[您你]|为[您你]|帮[您你]|替[您你]|没问题|已知悉|商家说|商家表示|商家确认"
    r"|通过了|安排|马上|立刻|立即|即刻|尽快|就(?=[给为帮退发补赔])|直接|支持您|准备|放行|批准|承担"
)
_STRONG_ASSURANCE: Final = re.compile(r"一定|肯定|保证|确保|承诺|必定|必然|绝对|担保|包在|百分百")
# In the platform's name: what the shop has granted, what it does, that the buyer will be content. No time is needed.
_SHOP: Final = r"(?:商家|卖家|店家|商户|店铺|对方)"
_NOT_SAID_OF: Final = "".join(
    f"(?<!{before})"
    for before in (
        *(
            "等待",
            "催促",
            "督促",
            "要求",
            "提醒",
            "建议",
            "联系",
            "通知",
            "告知",
            "如果",
            "假如",
            "要是",
            "倘若",
            "一旦",
            "是否",
        ),
        *"等催请让由与和向如若因待",
    )
)
GRANTED: Final = re.compile(
    rf"{_NOT_SAID_OF}{_SHOP}(?:那边|这边|方面|方)?(?:已经?|都|也|现|终于|表示|说了?|愿意?|完全|全部|全都|通通){{0,3}}"
    r"(?:点头|没话说|照办|买单|答应|同意(?!书)|接受|批准|认可|满足|松口|点头|应允|应承|没意见|没问题)(?!与否|或)"
    rf"|{_NOT_SAID_OF}{_SHOP}[^。!?\n未没不拒是否]{{0,3}}(?:发货|退款|补发|赔付|补偿|换货|退货退款)"
    r"(?=$|[。!?\n吧啦哦呢哈呀])"
    r"|免单了|(?:免费|白)(?:给|送|补|换)[您你]|(?:给|让)[您你](?:免费|免单|全免)|兜底|先行(?:赔付|垫付)|垫付|追回|少不了[您你]|一分(?:钱)?不(?:少|差)"
    r"|(?:运费|邮费|费用|损失|差价|差额|缺口)[^。!?\n未没不拒]{0,4}(?:商家|卖家|店家|平台|我们)(?:来|全|全部|都)?(?:报销|承担|出|赔|补|付|垫)"
    r"|等好消息|(?:一起|一并|一道|如数|照数|全数|按[您你]的(?:要求|意思|想法|说法))[^。!?\n未没不拒]{0,3}(?:退|返|补|赔|换|打)"
    r"|(?:包|保)(?:换|退|赔|补)(?!装)|坏的?(?:就)?(?:包)?换|(?:打|转|汇|退|返|补|赔|寄|送)(?:回|还)?给?[您你](?!的?(?:照片|图片|凭证|视频))(?=[^。!?\n吗么]{0,12}$|[,。!?\n吧哦哈])"
    r"|(?:货|钱|款|款子|包裹|东西)[^。!?\n未没不拒是否已何什怎]{0,5}(?:就|会|将|马上|很快|立刻|今天|明天|后天|今晚|明早|月底|周[一二三四五六日末]).{0,3}(?:到|回来|返还|退|来|结清|补上)"
    r"|(?:结清|补上|补齐|出货|出库|追加|多给|多送|多得)(?!单|时间|了吗|没有|失败|记录|\x00)(?=[^。!?\n吗么]{0,6}$|[,。!?\n])"
    # What the platform would do for the buyer, beside looking into it.
    r"|(?<!不)(?:给|为|帮|替)[您你](?:们)?(?!的?(?:带来|造成|添|发(?:的|过)|看|留|打过|介绍|解释|说明|解答|服务|转|反馈|记|登|查|核|了解|确认"
    r"|催|提交|上报|申请(?:的|过)|争取时间|提供(?:的|过)|联系商家|\x00))"
    r"|(?:必|次日|当日|隔日|隔天|准时|按时|准点)(?:达|到(?!底|处)|发|送|出)|包在我|跑不了|等着(?:收|用|拿)|用上新|(?:他们|对方|那边|店里)(?:会|就|来|给|愿意){0,2}(?:退|赔|补|发|换)(?!货(?:原因|记录)|款(?:原因|记录)|来|的)"
    r"|费[^。!?\n未没不拒]{0,2}(?:商家|卖家|店家|平台|我们)(?:来|全|都)?(?:报销|承担|出|赔|补|付|垫)"
    r"|(?:已经?|都)(?:答应|同意|满足|通过|批准)了?[您你]的?(?:要求|诉求|申请|退款|换货|请求)"
    r"|(?:今[天日晚早]|明[天日早晚]|后天|周[一二三四五六日末])[^。!?\n未没不拒是否已何什怎]{0,4}(?:出仓|启运|发车|出库)"
    r"|(?:会|将)[^。!?\n未没不拒]{0,6}(?:联系|回复|答复|告知|通知|跟|和|与|给)[您你]|有人[^。!?\n未没不]{0,3}(?:赔|退|补|上门|联系)"
    rf"|{_SHOP}(?:那边|这边)?[^。!?\n未没不拒是否]{{0,4}}(?:愿|肯(?!定)|乐意|应下|应了|应承|出钱|出[0-9一二三四五六七八九十百])"
    rf"|{_SHOP}[^。!?\n未没不拒是否]{{0,4}}(?:说|讲|表示|回复|答复|回了)[:]?(?:好的?|行|可以|能|会|没问题|同意|愿|肯|ok|今[天日晚]|明[天日早晚]|马上)"
    r"|等着?(?:收|拿)(?:钱|货|款|东西|包裹|快递)|(?:一定|肯定|保证|绝对|必定|保管|管|包|准保?|会)(?:能|会|让|使|叫|给|令){0,2}[您你](?:们)?[^。!?\n]{0,3}(?:满意|如愿|称心|放心|高兴|开心)"
)
# A time ahead, or an assurance, in a sentence that neither asks, nor tells what was, nor lays a task on the buyer.
AHEAD: Final = re.compile(
    r"今[天日晚早]|明[天日晚早]|后天|晚上|下午|下个?(?:周|星期|礼拜|月)|月底|[0-9一二两三四五六七八九十半]{1,4}个?(?:工作日|小时|分钟|天|周)(?:之|以)?(?:内|后)"
)
ASSURED: Final = re.compile(r"(?<![不没能否])(?:一定|肯定|保证|确保|必定|绝对|绝不|担保|铁定)|[保包][您你]")
NO_NEWS: Final = re.compile(
    r"[?请需须应吗么呢何哪几]|期限|截止|规则|规定|是否|什么|如何|已|过|昨|曾|显示|为准|时间|日期|了$|了[,。]|未|没|不|拒|尚|页面|宣传|描述|详情|为[0-9一二三]"
)
# Whole sentences that ask or explain and so promise nothing; blanked before the cues are looked for.
HARMLESS: Final = re.compile(
    r"(?:请问|您好|你好){0,3}(?:有|还有)?什么(?:可以|能)(?:够)?(?:为|帮)(?:到)?[您你](?:的|解决的?|服务的?"
    r"|处理的?)?"
    r"|(?:正在|在|已|已经|会|将)?(?:为|帮|替)?[您你]?(?:核实|查询|查看|了解|核查|查证|记录|登记)(?:一下"
    r"|处理)?(?:情况|相关情况)?|(?:正在|仍在|还在)(?:为[您你])?(?:处理|审核|核实|沟通|联系商家)(?:中|处理)?"
    r"|可以(?:先)?(?:申请|提供|上传|发送|补充|描述|说明|告诉|点击|查看|在订单|拍照|出示|理解)|能(?:否|不能)?(?:提供"
    r"|上传|发送|补充|描述|说明|告诉|拍照)|(?:方便|麻烦)?[您你]?(?:提供|上传|补充|发送|描述)(?:一下)?"
    r"|非常?理解[您你]的?心情|为[您你]带来的?不便|给[您你](?:带来|造成|添)了?(?:的)?(?:不便|困扰|麻烦)"
    r"|很?高兴为[您你]服务|感谢[您你]的(?:理解|耐心|配合|支持|反馈|等待|来电|咨询)"
    r"|(?:已经?)?收到[您你]的?(?:申请|反馈|凭证|诉求|消息|材料|图片)"
    r"|[您你]可以(?:在|点击|通过|进入|先|自行)?[^。!?\n]{0,12}(?:申请|查看|查询|提交|上传|点击)|能够理解"
    r"|不好意思|请放心"
)
# Buyers' own acts with a time: 请在48小时内上传凭证, 请您今天提供照片.
# What was left undone, in a ruling's reason: 商家未在约定时间内发货.
LEFT_UNDONE: Final = re.compile(
    r"(?:未能?|没有?|从未|尚未|并未)(?:曾)?(?:在|按|于|依|及时|如期|按时|按照)[^。!?\n会将]{0,14}?"
    r"(?:发货|退款|补发|赔付|处理|回复|答复|解决|发出|履行|赔偿|换货|取件|送达)"
)
BUYER_TASK: Final = re.compile(
    r"(?:需要?|须|应)(?:[您你]|消费者|买家)?(?:在|于)[^。!?\n请]{0,12}?(?:反馈|提供|上传|提交|补充|申请|联系|发起)"
    r"|请(?:[您你]|消费者|买家)?(?:务必|尽快)?(?:在|于)?[^。!?\n请]{0,16}?(?:提供|上传|提交|补充|发送|拍摄|填写"
    r"|确认|查收|选择|描述|保留|配合|等待|等候|稍候|稍等|谅解|理解|留意|注意|联系)(?:[^。!?\n商家]{0,14}(?:凭证"
    r"|照片|图片|视频|材料|信息|证据|单号|情况|截图|说明|原因|包装|地址))?"
)
ENGLISH_ACT: Final = re.compile(
    r"\b(?:ship|shipp|send|sent|dispatch|deliver|refund|compensat|replac|exchang|reship|resend|reimburs|pay"
    r"|paid|credit|voucher|coupon|pick(?:ed|ing)? ?up|collect|mail|money back|cash ?back|discount|arriv|resolv"
    r"|solv|fix|make sure|you(?:'ll| will)"
    r"|settle)\w*"
)
ENGLISH_CUE: Final = re.compile(
    r"\b(?:will|shall|'ll|won't|guarantee\w*|promis\w*|going to|gonna|sure(?:ly)?|definitely|certainly"
    r"|agree[sd]?|commit\w*|confirmed|by|within|before|today|tonight|tomorrow|monday|tuesday|wednesday|thursday"
    r"|friday|saturday|sunday|week|days?|hours?|yuan|rmb|cny|immediately|asap|soon|can|offer\w*|full|half)\b"
    r"|[¥$€]\s?[0-9]|\b[0-9]+(?:\.[0-9]+)?\b|(?<=\w)'ll\b"
)
LETTERS_APART: Final = re.compile(r"(?<![a-z])(?:[a-z][^a-z0-9\n]{1,3}){3,}[a-z](?![a-z])")
HIDDEN_ACT: Final = re.compile(
    r"ship|send|sent|dispatch|deliver|refund|compensat|replac|exchang|resend|reimburs|pay|voucher"
)
_NO_LETTER: Final = re.compile(r"[^a-z]")
PINYIN: Final = re.compile(r"fa ?huo|tui ?kuan|pei ?chang|pei ?fu|bu ?chang|huan ?huo|bu ?fa\b|ming ?tian|jin ?tian")


class _TightTable(dict[int, str | None]):
    """Fold to compare, dropping all that is no letter, digit or part of a number; made as characters are met."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        entry = _tight(char)
        if len(self) < 70_000:
            self[code] = entry
        return entry


_SIMPLIFIED: Final = {**TRADITIONAL, **FORMAL_DIGITS}
_KEPT: Final = frozenset(".:%¥$€?!。\n")
_STRAY_MARK: Final = re.compile(r"[.:](?![0-9])|(?<![0-9])[.:]")
_SENTENCE_MARK: Final = re.compile(r"[?!。\n]")


def _tight(char: str) -> str | None:
    folded = unicodedata.normalize("NFKC", char).lower()
    kept = ""
    for each in folded:
        each = _SIMPLIFIED.get(each, each)
        digit = unicodedata.digit(each, None)
        if digit is not None:
            each = str(digit)
        if each in _KEPT or (each.isalnum() and each not in BLANK_LETTERS):
            kept += each
    return kept or None


_TABLE: Final = _TightTable()


def _fold(text: str) -> tuple[str, list[int]]:
    """The tight text and for each of its characters the index of the one it came from."""
    pieces: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        entry = _TABLE[ord(char)]
        if entry:
            pieces.append(entry)
            origin.extend([index] * len(entry))
    return _without_marks("".join(pieces), origin, _STRAY_MARK)


def _without_marks(tight: str, origin: list[int], mark: re.Pattern[str]) -> tuple[str, list[int]]:
    stray = {hit.start() for hit in mark.finditer(tight)}
    if not stray:
        return tight, origin
    kept = [i for i in range(len(tight)) if i not in stray]
    return "".join([tight[i] for i in kept]), [origin[i] for i in kept]


def net(text: str) -> tuple[Span, ...]:
    """The words of a text that together could be heard as a promise; empty when there are none. Prefers catching.

    Folds width, script, invisible characters, marks and spaces inside words, and every kind of digit; zh and en.
    """
    tight, origin = _fold(text)
    spans = _chinese(tight) + _english(tight)
    if not spans:  # 明。天。发。货: once more without any mark
        tight, origin = _without_marks(tight, origin, _SENTENCE_MARK)
        spans = _chinese(tight)
    written = {Span(origin[a], origin[b - 1] + 1, sort) for a, b, sort in spans}
    written |= set(_latin(text))
    # Wider than the reader by construction: what it calls a promise is caught even if no cue above was.
    written |= {Span(each.start, each.end, "act") for each in extract(text, None, _ANY_INSTANT) if relayable(each)}
    return tuple(sorted(written, key=lambda span: (span.start, span.end, span.sort))[:SPANS_MAX])


def _blanked(text: str, pattern: re.Pattern[str]) -> str:
    return pattern.sub(lambda hit: "\x00" * (hit.end() - hit.start()), text)


def _chinese(tight: str) -> list[tuple[int, int, str]]:
    plain = _blanked(_blanked(_blanked(tight, LEFT_UNDONE), HARMLESS), BUYER_TASK)
    return _acts(plain) + [(*hit.span(), "assurance") for hit in GRANTED.finditer(plain)] + _news(plain)


def _news(plain: str) -> list[tuple[int, int, str]]:
    """Times ahead and assurances in sentences that can only tell what will be."""
    found: list[tuple[int, int, str]] = []
    for sentence in _SENTENCE.finditer(plain):
        a, b = sentence.span()
        if not NO_NEWS.search(plain, a, b):
            found += [(*hit.span(), "time") for hit in AHEAD.finditer(plain, a, b)]
        if not _ASKING_OR_TASK.search(plain, a, b):
            found += [(*hit.span(), "assurance") for hit in ASSURED.finditer(plain, a, b)]
    return found


_SENTENCE: Final = re.compile(r"[^!。\n]+")
_ASKING_OR_TASK: Final = re.compile(r"[?请吗么呢]|是否|什么|规则|规定|页面|宣传|描述|详情")


def _acts(plain: str) -> list[tuple[int, int, str]]:
    strong = [(*hit.span(), "act") for hit in STRONG_ACT.finditer(plain)]
    weak = [(*hit.span(), "act") for hit in WEAK_ACT.finditer(plain)]
    times = [(*hit.span(), "time") for hit in TIME.finditer(plain)]
    sums = [(*hit.span(), "sum") for hit in SUM.finditer(plain)]
    sure = [(*hit.span(), "assurance") for hit in ASSURANCE.finditer(plain)]
    if strong and (times or sums or sure):
        return strong + times + sums + sure
    definite = [(a, b, sort) for a, b, sort in times if not DEFINITE_TIME.match(plain[a:b])]
    firm = [(a, b, sort) for a, b, sort in sure if _STRONG_ASSURANCE.match(plain[a:b])]
    if weak and (definite or sums or firm):
        return weak + definite + sums + firm
    if sums and sure:
        return sums + sure
    if definite and ("商家" in plain or "卖家" in plain) and sure:
        return definite + sure
    return []


def _english(tight: str) -> list[tuple[int, int, str]]:
    return [(*hit.span(), "act") for hit in PINYIN.finditer(tight)]


def _latin(text: str) -> list[Span]:
    """English needs its spaces; folded character by character so that positions stay."""
    loose = "".join(_loose(char) for char in text)
    apart = [hit for hit in LETTERS_APART.finditer(loose) if HIDDEN_ACT.search(_NO_LETTER.sub("", hit.group()))]
    if apart:  # t o d a y  s h i p: nobody writes so who means nothing by it
        return [Span(*hit.span(), "act") for hit in apart]
    acts = [Span(*hit.span(), "act") for hit in ENGLISH_ACT.finditer(loose)]
    if not acts:
        return []
    cues = [Span(*hit.span(), "assurance") for hit in ENGLISH_CUE.finditer(loose)]
    return acts + cues if cues else []


def _loose(char: str) -> str:
    if char.isascii():
        return char.lower()
    folded = unicodedata.normalize("NFKC", char).lower()
    return "'" if char in "’‘" else folded if len(folded) == 1 else " "

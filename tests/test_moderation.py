"""Verdicts: what is found, where, how grave, and what is left alone."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.moderation import (
    Channel,
    CompiledRules,
    Context,
    Measure,
    Verdict,
    is_an_answer,
    moderate,
    moderated,
    raised_for_repeat,
)
from service.store.rulepacks import RuleBook, load_rule_book

RULES = Path(__file__).resolve().parent.parent / "rules"
CHAT = Context(Channel.BUYER_CHAT, "taobao")
RED_LINES = {
    "您加我微信吧": "diversion",
    "我把手机号给你": "contact_info",
    "微信转账给我": "offline_payment",
    "你是不是有病": "abuse",
    "我知道你地址": "threat",
    "买不起就别买": "sarcasm",
    "好评返现五元": "review_manipulation",
    "全国第一品牌": "absolute_claim",
    "保证明天送到": "overpromise",
    "百分百有效": "false_efficacy",
    "自己看详情页": "perfunctory",
}
# Fragments that set many rules going at once, so that random texts reach the engine's corners.
FRAGMENTS = (
    "加 微信 不要 能不能 。 ， ! 138 1234 5678 wei xin 女口 力口 傻傻逼逼 🐴 V v信 @ www. .com 轉賬 ＱＱ 线下 光线下 V:"
)
fragments = st.sampled_from([*RED_LINES, *FRAGMENTS.split(), " ", "\n", "\u200b", "\u0301", "\ud800"])
pieces = st.lists(st.one_of(fragments, st.text(st.characters(exclude_categories=()), max_size=6)), max_size=14)


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load_rule_book(RULES)


@pytest.fixture(scope="module")
def rules(book: RuleBook) -> CompiledRules:
    return book.for_platform("taobao")


def judged(text: str, rules: CompiledRules, *, question: str | None = None, channel: str = "buyer_chat") -> Verdict:
    return moderate(text, rules, Context(Channel(channel), rules.platform, question))


@settings(max_examples=600, deadline=None)
@given(parts=pieces)
def test_a_finding_cuts_exactly_what_the_merchant_wrote(rules: CompiledRules, parts: list[str]) -> None:
    """Start and end count code points of the text as written, whatever was folded away, and nothing ever raises."""
    text = "".join(parts)

    verdict = judged(text, rules)

    for finding in verdict.findings:
        assert 0 <= finding.start < finding.end <= len(text)
        assert text[finding.start : finding.end] == finding.matched
    gravest = max((finding.measure.rank for finding in verdict.findings), default=0)
    assert verdict.measure.rank == gravest


@settings(max_examples=200, deadline=None)
@given(parts=pieces)
def test_the_same_text_gets_the_same_verdict(rules: CompiledRules, parts: list[str]) -> None:
    """Judging leaves no trace in the rules."""
    text = "".join(parts)

    assert judged(text, rules) == judged(text, rules)


@pytest.mark.parametrize(("text", "category"), RED_LINES.items())
def test_each_category_has_its_red_line(rules: CompiledRules, text: str, category: str) -> None:
    """Eleven categories, plain words."""
    assert category in judged(text, rules).categories


def noisy(text: str, mark: str) -> str:
    return mark.join(text)


@pytest.mark.parametrize("text", [text for text, category in RED_LINES.items() if category != "perfunctory"])
@pytest.mark.parametrize("mark", ["*", " ", "\u200b", "\u0336", "-", "~", "!", "🌟", "。"])
def test_a_mark_between_all_characters_hides_nothing(rules: CompiledRules, text: str, mark: str) -> None:
    """绝!对!: noise, invisible characters and combining marks (D3)."""
    plain = judged(text, rules)

    disguised = judged(noisy(text, mark), rules)

    assert set(plain.categories) <= set(disguised.categories)


@pytest.mark.parametrize(
    "text",
    [
        "加 我 微 信",
        "加我薇信",
        "jia wo wei xin",
        "加wei信",
        "力口我微人言",
        "加我微信信信",
        "加我威芯",
        "加我𝐖𝐗",
        "+V",
        "加我🛰",
    ],
)
def test_diversion_is_seen_through_its_disguises(rules: CompiledRules, text: str) -> None:
    """Spaces, jargon, pinyin, split characters, repeats, look-alikes and signs (D3)."""
    assert "diversion" in judged(text, rules).categories


@pytest.mark.parametrize(
    "text",
    [
        "请不要添加陌生人微信",
        "平台不允许加微信哦",
        "已经为您加急处理了",
        "光线下看会偏黄",
        "付款后发货",
        "最近天气冷",
        "第一时间为您处理",
        "电话费已到账",
        "妈妈的生日礼物",
        "妈妈妈妈都说好",
        "尺码sbc都有",
        "您好。加购物车后微信支付即可",
        "给小妹妹穿很合适",
        "我看到您的地址了",
        "请问您有病史吗",
        "订单号 202311281380013800012345",
        "快递单号 78812345678901",
    ],
)
def test_innocent_words_are_left_alone(rules: CompiledRules, text: str) -> None:
    """Context, not bare words (D12)."""
    assert judged(text, rules).findings == ()


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("qingnijiawoweixinliaoba", "diversion"),
        ("给个hong包,晒图好评", "review_manipulation"),
        ("加一下我微辛", "diversion"),
        ("你脑子进睡了吧", "abuse"),
        ("滚,别来了", "abuse"),
        ("1🌟3🌟8🌟1🌟2🌟3🌟4🌟5🌟6🌟7🌟8", "contact_info"),
        ("a*b*c*1*2*3*@*1*6*3*.*c*o*m", "contact_info"),
        ("点 w.w.w.abcshop.com 下单", "diversion"),
    ],
)
def test_typed_heard_lonely_and_spaced_words_are_found(rules: CompiledRules, text: str, category: str) -> None:
    """Pinyin without blanks, homophones beside neighbours, a clause of one word, shapes under noise (D3)."""
    assert category in judged(text, rules).categories


@pytest.mark.parametrize("text", ["滚动条在右边", "women shanghai gun", "您家维修师傅到了吗", "13:00-15:30 送 160 件"])
def test_sounds_and_runs_of_letters_need_their_neighbours(rules: CompiledRules, text: str) -> None:
    """English words and homophones of two characters accuse nobody."""
    assert judged(text, rules).findings == ()


@pytest.mark.parametrize(
    ("text", "guilty"),
    [
        ("图片这里发不了 加微信看", True),
        ("链接发不出来 私下转账吧", True),
        ("我们不能 加微信哦", False),
        ("不 要 加 微 信", False),
        ("平台不支持 线下转账", False),
    ],
)
def test_a_blank_behind_a_word_parts_a_negation_from_what_follows(
    rules: CompiledRules, text: str, guilty: bool
) -> None:
    """Right behind the negation, or between all characters, it parts nothing."""
    assert bool(judged(text, rules).findings) is guilty


@pytest.mark.parametrize("text", ["这个猪头面具是乳胶的", "小笨蛋玩偶到货了", "鞋底新,出门小心滑倒"])
def test_a_word_right_behind_makes_a_name_of_it(rules: CompiledRules, text: str) -> None:
    """`unless_next`: what is sold may be called what nobody may call a buyer."""
    assert not judged(text, rules).findings


def test_a_name_ends_at_a_mark(rules: CompiledRules) -> None:
    """你个猪头,面具爱要不要 calls the buyer a name."""
    assert "abuse" in judged("你个猪头,面具爱要不要", rules).categories


def test_a_word_of_its_own_is_not_heard_as_another(rules: CompiledRules) -> None:
    """送货 is no 怂货, though it sounds so and shares a character with it."""
    assert not judged("地址我知道了,给您备注送货上门", rules).findings


def test_a_negation_in_another_clause_excuses_nothing(rules: CompiledRules) -> None:
    """不能便宜。加我微信: the negation belongs to another sentence."""
    assert "diversion" in judged("这里不能便宜。加我微信", rules).categories
    assert "diversion" in judged("能不能加个微信", rules).categories


def test_who_warns_of_others_may_say_in_the_next_clause_what_they_do(rules: CompiledRules) -> None:
    """`unless_earlier`: 骗子冒充… excuses to the end of its sentence, not beyond, and nothing that stands before it."""
    assert not judged("近期有骗子冒充本店,说丢件了,让您加微信", rules).findings
    assert "diversion" in judged("近期有骗子冒充本店。加我微信", rules).categories
    assert "diversion" in judged("加我微信核对,最近有人冒充本店", rules).categories


@pytest.mark.parametrize(
    ("text", "is_innocent"),
    [
        ("您说换微信聊,真不行哈", True),
        ("您问是不是全国最好的,这个我不敢讲", True),
        ("您问微信号多少,真不能给", True),
        ("您说换微信聊,行啊,加我微信", False),
        ("您说要便宜的,加我微信,这里真不行", False),
        ("您问质量,全国最好的,别家不敢说", False),
        ("您说换微信聊,真不行。加我微信吧", False),
        ("换微信聊,真不行哈", False),
    ],
)
def test_what_the_buyer_asked_for_and_is_refused_is_told_and_not_done(
    rules: CompiledRules, text: str, is_innocent: bool
) -> None:
    """`unless_asked` with `unless_refused`: both in the sentence of the hit; a refusal that is none excuses nothing."""
    verdict = judged(text, rules)

    assert (verdict.measure is Measure.NONE) is is_innocent


def test_letters_between_typed_words_are_counted_as_syllables(rules: CompiledRules) -> None:
    """追评带张图,给您发两块红包 in letters stands no further apart than in characters; far off is still far off."""
    near, far = "zhuipingdaizhangtu,geininfaliangkuaihongbao", "zhuiping" + "yanjiu" * 12 + "hongbao"

    assert "review_manipulation" in judged(near, rules).categories
    assert not judged(far, rules).findings


@pytest.mark.parametrize("channel", ["inquiry", "ticket", "note"])
def test_a_dated_commitment_to_the_platform_is_no_overpromise(rules: CompiledRules, channel: str) -> None:
    """D14: in an inquiry a plain dated commitment is what is wanted."""
    text = "我们今天肯定会给消费者发货"

    assert judged(text, rules).categories[0] == "overpromise"
    assert judged(text, rules, channel=channel).findings == ()


def test_cash_on_delivery_is_forbidden_by_profile(book: RuleBook) -> None:
    """到付 is an offence on taobao and a service on jd (D2)."""
    text = "这款可以货到付款"

    assert "offline_payment" in judged(text, book.for_platform("taobao")).categories
    assert judged(text, book.for_platform("jd")).findings == ()


def test_on_time_insurance_allows_an_arrival_time(rules: CompiledRules) -> None:
    """D6: an arrival time may be promised when the order carries 准时送达保险."""
    insured = Context(Channel.BUYER_CHAT, "taobao", facts=frozenset({"on_time_insurance"}))

    assert moderate("明天确保能够到达", rules, CHAT).measure is Measure.REQUIRE_EDIT
    assert moderate("明天确保能够到达", rules, insured).measure is Measure.NONE


def test_abuse_of_a_buyer_sends_the_next_contact_to_a_human(rules: CompiledRules) -> None:
    """A6 is a field of its own, for the buyer's chat only."""
    assert judged("你是不是有病", rules).direct_to_human
    assert not judged("你是不是有病", rules, channel="ticket").direct_to_human
    assert not judged("加我微信", rules).direct_to_human


def test_advice_offers_neutral_words_and_standard_replies(rules: CompiledRules) -> None:
    """D5 and D9: what to say instead."""
    advice = judged("这款质量是最好的", rules).advice

    assert {one.text for one in advice if one.kind == "neutral_word"} == {"可能", "一般", "通常", "建议"}
    assert any(one.kind == "standard_reply" for one in judged("加我微信", rules).advice)


def test_the_measures_are_ordered_and_two_of_them_deliver() -> None:
    """A1 to A5."""
    ranks = [measure.rank for measure in Measure]

    assert ranks == [0, 1, 2, 3, 4, 5]
    assert [measure.value for measure in Measure if measure.delivers] == ["none", "remind"]


def test_repeat_offences_raise_a_measure_by_one_rung(rules: CompiledRules) -> None:
    """remind → suggest_edit → require_edit → reject → reject_with_notice, one rung at most."""
    ladder = rules.ladder

    for measure, enough in ladder.raise_after.items():
        assert raised_for_repeat(measure, enough - 1, ladder) is measure
        assert raised_for_repeat(measure, enough, ladder).rank == measure.rank + 1
        assert raised_for_repeat(measure, 1000, ladder).rank == measure.rank + 1
    assert raised_for_repeat(Measure.NONE, 1000, ladder) is Measure.NONE
    assert raised_for_repeat(Measure.REJECT_WITH_NOTICE, 1000, ladder) is Measure.REJECT_WITH_NOTICE


def test_earlier_offences_of_the_same_category_count_and_others_do_not(rules: CompiledRules) -> None:
    """The counters are passed in; the findings keep the measure of their rule."""
    enough = {"sarcasm": 9}

    first = moderated("买不起别买", rules, CHAT)
    again = moderated("买不起别买", rules, CHAT, earlier_offences=enough)
    other = moderated("好评返现", rules, CHAT, earlier_offences=enough)

    assert first.verdict.measure is Measure.REQUIRE_EDIT
    assert again.verdict.measure is Measure.REJECT
    assert again.verdict.findings == first.verdict.findings
    assert other.verdict.measure is Measure.REJECT


def test_a_stiff_tone_stays_a_reminder_however_often(rules: CompiledRules) -> None:
    """D7: at most remind."""
    reply = moderated("拆封概不退换", rules, CHAT, earlier_offences={"perfunctory": 99})

    assert reply.verdict.measure is Measure.REMIND


@pytest.mark.parametrize(
    ("text", "question", "answers"),
    [
        ("", "今天能发货吗?", False),
        ("  \u200b", "今天能发货吗?", False),
        ("😂😂", "今天能发货吗?", False),
        ("收到", "今天能发货吗?", False),
        ("收到!", None, False),
        ("在吗", "什么时候发货?", False),
        ("亲,在的呢", "什么时候发货?", False),
        ("稍等", "什么时候发货?", False),
        ("好的", "请今天给消费者发货", True),
        ("可以", "今天能发货吗?", True),
        ("不能", "今天能发货吗?", True),
        ("好的", "什么时候发货?", False),
        ("嗯", "为什么没有发货?", False),
        ("我们今天会给消费者发货", "什么时候发货?", True),
        ("收到,今天发货", "什么时候发货?", True),
        ("11月28日", "什么时候发货?", True),
    ],
)
def test_an_emoji_or_a_receipt_does_not_stop_the_clock(text: str, question: str | None, answers: bool) -> None:
    """C4 and edge cases 30 and 32: 收到 and 在吗 are delivered but answer nothing; a bare yes answers a yes-or-no."""
    assert is_an_answer(text, question) is answers


def test_a_one_word_answer_is_cold_only_to_a_question(rules: CompiledRules) -> None:
    """A7 and D7: perfunctory in the light of the question."""
    assert judged("哦", rules).measure is Measure.NONE
    assert judged("哦", rules, question="这件衣服会缩水吗?").measure is Measure.REMIND


def test_the_verdict_names_the_rules_that_judged(rules: CompiledRules) -> None:
    """Promise 6: which rule, which version."""
    verdict = judged("", rules)

    assert (verdict.pack_id, verdict.pack_version, verdict.pack_sha256) == (
        rules.pack_id,
        rules.pack_version,
        rules.pack_sha256,
    )
    assert len(verdict.pack_sha256) == 64


@pytest.mark.parametrize(
    "unit", ["wx13812", "加微信", "不要", "加", "1", "傻", "a", "力口", "最好", "wei", ".a", "v:", "加，", "保证明天"]
)
def test_cost_grows_no_faster_than_the_text(rules: CompiledRules, unit: str) -> None:
    """Ten times the text costs about ten times as much, not a hundred times."""
    small, large = unit * (1_000 // len(unit)), unit * (10_000 // len(unit))

    judged(small, rules)
    short = min(timed(small, rules) for _ in range(3))
    long = min(timed(large, rules) for _ in range(2))

    assert long < short * 40 + 0.05


def timed(text: str, rules: CompiledRules) -> float:
    begun = time.perf_counter()
    judged(text, rules)
    return time.perf_counter() - begun


def test_verdicts_do_not_depend_on_the_hash_seed() -> None:
    """Two processes with different seeds judge alike."""
    script = (
        "from pathlib import Path; from service.store.rulepacks import load_rules;"
        "from service.domain.moderation import *;"
        "r = load_rules(Path('rules'), 'taobao');"
        "c = Context(Channel.BUYER_CHAT, 'taobao');"
        "print([moderate(t, r, c) for t in ('你这种人真没素质,加我微信转账', '最好的质量,好评返现,你等着')])"
    )

    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=True,
            text=True,
            cwd=RULES.parent,
            env={"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
        ).stdout
        for seed in ("1", "2")
    ]

    assert told[0] == told[1]
    assert "diversion" in told[0]

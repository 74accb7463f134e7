"""The gate: relays of confirmed promises, free text that carries no promise, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.calendar import SHANGHAI
from service.domain.canonical import canonical
from service.domain.cleared_words import (
    RELAYED_ACTIONS,
    ClearedWords,
    ConfirmedPromise,
    clear_free_text,
    clear_relay,
    require_no_promise,
)
from service.domain.errors import Kind, Refusal
from service.domain.promise_net import net
from service.domain.promise_text import extract
from service.store.relay_templates import load_relay_templates

TEMPLATES = load_relay_templates(Path(__file__).parents[1] / "rules" / "templates" / "relay.toml")
DUE = datetime(2025, 11, 25, 23, 59, 59, tzinfo=SHANGHAI)
STATES = (
    "extracted",
    "confirmation_requested",
    "relayed",
    "fulfilled",
    "breached",
    "declined",
    "superseded",
    "lapsed",
)


def confirmed(
    action: str = "ship",
    amount_fen: int | None = None,
    amount_max_fen: int | None = None,
    due_at: datetime | None = DUE,
    number: int = 1,
) -> ConfirmedPromise:
    """A promise the merchant has confirmed as it stands."""
    made = canonical(action, amount_fen, amount_max_fen, due_at).sha256_hex
    return ConfirmedPromise(
        id=f"promise-{number}",
        action=action,
        amount_fen=amount_fen,
        amount_max_fen=amount_max_fen,
        due_at=due_at,
        canonical_sha256=made,
        confirmation_sha256=made,
        confirmation_entry_hash=f"entry-{number}",
        state="confirmed",
    )


def test_a_confirmed_promise_is_relayed_in_the_articles_words() -> None:
    """Source 002: 商家已知悉,会今日为您发货。"""
    cleared = clear_relay([confirmed()], TEMPLATES)

    assert cleared.text == "商家已知悉,会于2025年11月25日23:59:59(北京时间)前为您发货。"
    assert cleared.en == ("The merchant has taken note and will ship your order by 2025-11-25 23:59:59 (UTC+08:00).")
    assert (cleared.source, cleared.promise_ids, cleared.confirmation_hashes) == (
        "promises",
        ("promise-1",),
        ("entry-1",),
    )


def test_two_promises_are_one_message_with_both_entries() -> None:
    """The auditor finds each confirmation from the relay."""
    cleared = clear_relay([confirmed(), confirmed("partial_refund", 5000, None, None, number=2)], TEMPLATES)

    assert cleared.text.endswith("为您发货;并会为您部分退款50.00元。")
    assert cleared.confirmation_hashes == ("entry-1", "entry-2")


@pytest.mark.parametrize("action", RELAYED_ACTIONS)
@pytest.mark.parametrize("due_at", [DUE, None])
@pytest.mark.parametrize(("amount_fen", "amount_max_fen"), [(None, None), (5050, None), (2000, 3000)])
def test_every_action_has_a_whole_sentence_in_both_languages(
    action: str, due_at: datetime | None, amount_fen: int | None, amount_max_fen: int | None
) -> None:
    """No place is left unfilled."""
    cleared = clear_relay([confirmed(action, amount_fen, amount_max_fen, due_at)], TEMPLATES)

    assert cleared.en is not None
    assert not set("{}") & set(cleared.text + cleared.en)
    assert "  " not in cleared.text + cleared.en


@pytest.mark.parametrize("state", STATES)
def test_a_promise_in_any_other_state_is_refused(state: str) -> None:
    """api.md: relay of an unconfirmed one: 409 promise_not_confirmed."""
    with pytest.raises(Refusal) as refused:
        clear_relay([replace(confirmed(), state=state)], TEMPLATES)

    assert (refused.value.code, refused.value.kind) == ("promise_not_confirmed", Kind.CONFLICT)
    assert refused.value.facts["promise_id"] == "promise-1"


@pytest.mark.parametrize("wording", ["hedged", "conditional", "refused", "none"])
def test_soft_words_are_never_relayed_as_a_promise(wording: str) -> None:
    """Lifecycle, promise: whatever its state says."""
    with pytest.raises(Refusal) as refused:
        clear_relay([replace(confirmed(), wording=wording)], TEMPLATES)

    assert refused.value.code == "promise_not_confirmed"


def test_one_unconfirmed_promise_stops_the_whole_relay() -> None:
    """Promise 2 of product.md."""
    with pytest.raises(Refusal):
        clear_relay([confirmed(), replace(confirmed(number=2), state="extracted")], TEMPLATES)


@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 5100},
        {"due_at": None},
        {"action": "resend"},
        {"canonical_sha256": "0" * 64},
        {"confirmation_sha256": "0" * 64},
    ],
)
def test_what_was_confirmed_must_be_what_the_fields_say(change: dict[str, object]) -> None:
    """Edge case 33: confirms another hash."""
    promise = replace(confirmed("partial_refund", 5000), **change)

    with pytest.raises(Refusal) as refused:
        clear_relay([promise], TEMPLATES)

    assert (refused.value.code, refused.value.kind) == ("canonical_mismatch", Kind.CONFLICT)


def test_nothing_and_too_much_are_refused() -> None:
    """Every list has a bound."""
    with pytest.raises(Refusal, match="nothing_to_relay"):
        clear_relay([], TEMPLATES)
    with pytest.raises(Refusal, match="too_many_promises"):
        clear_relay([confirmed()] * 21, TEMPLATES)


def test_templates_with_a_missing_action_or_an_unknown_place_are_refused_whole(tmp_path: Path) -> None:
    """Data: a bad file never half works."""
    good = (Path(__file__).parents[1] / "rules" / "templates" / "relay.toml").read_text(encoding="utf-8")
    for number, bad in enumerate(
        (good.replace('ship = "{when}为您发货"', ""), good.replace("{when}为您换货", "{x}"), "=")
    ):
        path = tmp_path / f"{number}.toml"
        path.write_text(bad, encoding="utf-8")

        with pytest.raises(Refusal, match="relay_templates_malformed"):
            load_relay_templates(path)


HARMLESS = (
    "您好,请问有什么可以帮您",
    "我们正在核实,请您稍候",
    "您好,我是平台客服,很高兴为您服务",
    "请您在48小时内上传凭证照片",
    "麻烦您提供一下商品破损的照片",
    "您的退款申请正在审核中,请耐心等待",
    "我们已收到您的申请,正在联系商家",
    "商家尚未回复,请您耐心等待",
    "已向商家发送服务单",
    "请问您是要退款还是换货呢",
    "我们已经联系商家核实情况",
    "非常理解您的心情,给您带来不便非常抱歉",
    "您可以在订单页面点击申请退款",
    "请问您收到的商品是什么问题?",
    "感谢您的耐心等待",
    "您的订单目前还没有发货",
    "商家未在约定时间内发货",
    "根据双方提供的凭证,商品存在破损",
    "请您描述一下具体情况",
    "平台已介入,请您留意消息",
    "买家提交的照片显示商品有划痕,商家没有提供反证",
    "Hello, how can I help you?",
    "Please upload a photo of the damage.",
    "We are checking with the merchant, please wait.",
)
PROMISING = (
    "商家明天给您发货",
    "明天会为您发货",
    "会退您50元",
    "商家同意退款",
    "保证给您退款",
    "今天发货",
    "明天發貨",
    "退您伍拾元",
    "我们会在24小时内处理",
    "3个工作日内到账",
    "商家说明天可以",
    "一定给您解决",
    "商家会补偿您",
    "给您50元红包",
    "50元赔付",
    "商家已知悉,会今日为您发货",
    "肯定帮您退",
    "最晚周五补发",
    "放心,商家会给您换新的",
    "24小时内回复您",
    "商家答应赔您两百三",
    "周五前送到您手上",
    "The merchant will ship tomorrow",
    "Refund within 3 days",
    "you'll get a full refund",
    "mingtian fahuo",
)


@pytest.mark.parametrize("words", HARMLESS)
def test_an_agents_ordinary_words_pass(words: str) -> None:
    """Greeting, asking for evidence, telling how things stand."""
    cleared = clear_free_text(words)

    assert cleared == ClearedWords(text=words, en=None, source="free_text")


@pytest.mark.parametrize("words", PROMISING)
def test_words_that_could_be_heard_as_a_promise_are_refused_with_their_place(words: str) -> None:
    """api.md: 422 uncleared_promise names the words."""
    with pytest.raises(Refusal) as refused:
        clear_free_text(words)

    named = refused.value.facts["words"]
    assert (refused.value.code, refused.value.kind) == ("uncleared_promise", Kind.GUARD)
    assert isinstance(named, list)
    assert named
    assert all(words[each["start"] : each["end"]] == each["text"] for each in named)
    assert refused.value.facts["remedies"] == ["ask_merchant", "cite_promise", "leave_out"]


NOISE = ["", " ", "\u200b", "\u2060", ".", "。", "·", "*", "~", "\ufe0f", "\u0301", "😀", "\u3000", "\n", "|", "!"]
WIDE = {ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)}
CHINESE_PROMISING = [words for words in PROMISING if not words.isascii()]


@given(st.sampled_from(CHINESE_PROMISING), st.lists(st.sampled_from(NOISE), min_size=1, max_size=8), st.booleans())
@settings(max_examples=300, deadline=None)
def test_noise_inside_a_promise_hides_nothing(words: str, noise: list[str], wide: bool) -> None:
    """Width, invisible characters, marks and emoji between any two characters."""
    dressed = "".join(char + noise[i % len(noise)] for i, char in enumerate(words))

    caught = net(dressed.translate(WIDE) if wide else dressed)

    assert caught
    assert all(0 <= span.start < span.end <= len(dressed) for span in caught)


@given(
    st.sampled_from(
        ["今天", "明天", "周五前", "3天内", "24小时内", "11月28日", "月底前", "下周一", "今晚8点前", "三个工作日内"]
    ),
    st.sampled_from(["", "会", "商家会", "我们", "商家已同意", "一定"]),
    st.sampled_from(
        ["发货", "补发", "退款", "赔付50元", "补偿您两百三", "换货", "上门取件", "给您退一半", "回复您", "处理好"]
    ),
    st.sampled_from(["", "哦", ",请您放心", "。感谢您的理解", ",请耐心等待"]),
)
@settings(max_examples=300, deadline=None)
def test_a_time_and_an_act_are_always_caught(time: str, who: str, act: str, tail: str) -> None:
    """Promise 2 of product.md: the net prefers refusing."""
    with pytest.raises(Refusal, match="uncleared_promise"):
        require_no_promise(f"您好,{time}{who}{act}{tail}")


PIECES = st.sampled_from(
    [
        *[
            "今天",
            "明天",
            "3天内",
            "发货",
            "退款",
            "补偿",
            "50元",
            "给您",
            "同意",
            "可以",
            ",",
            "。",
            "您",
            "商家",
            "会",
            "不",
            "已",
        ],
        *[
            "换货",
            "补发",
            "回复",
            "一半",
            "请",
            "提供",
            "申请",
            "未",
            "吗",
            "?",
            "核实",
            "运费",
            "承担",
            "安排",
            "一定",
        ],
    ]
)


@given(st.text(max_size=200) | st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=500, deadline=None)
def test_what_the_reader_calls_a_promise_never_passes_the_net(words: str) -> None:
    """The net is wider than the reader, by construction; and any text at all is judged without a fall."""
    promised = any(each.wording == "unconditional" for each in extract(words, None, DUE))

    caught = net(words)

    assert caught or not promised


def test_whatever_the_labelled_set_confirms_is_caught_by_the_net() -> None:
    """An agent who copies a merchant's promise by hand is stopped: every dated or priced one."""
    path = Path(__file__).parent / "labelled_replies.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    stated = [row["reply"] for row in rows if row["wording"] == "unconditional" and row["question"] is None]

    passed = [reply for reply in stated if not net(reply)]

    assert passed == []


@pytest.mark.parametrize(
    "words",
    [
        *("卖家已经同意了", "店家那边松口了", "商家接受您的诉求", "款项马上到你卡里", "衣服过几天到您家"),
        "您就等着收钱好了",
        *("保证让您满意", "包您称心", "商家今口发货", "明天tk给您", "后天fh"),
        *("r.e.f.u.n.d now", "w e  s h i p  s o o n"),
    ],
)
def test_a_grant_a_cheer_or_hidden_letters_are_caught_without_a_time(words: str) -> None:
    """What the shop has granted and that all will be well are promises too, and letters apart are no disguise."""
    with pytest.raises(Refusal) as refused:
        clear_free_text(words)

    assert refused.value.code == "uncleared_promise"


@pytest.mark.parametrize(
    "words",
    [
        *("商家未同意您的申请", "请问商家是否同意", "等待商家发货", "商家发货延迟", "商家拒绝退款"),
        *("祝您满意", "a b c d e"),
        *("如果商家同意,我们再告诉您结果", "请问您对这次服务满意吗", "您的要求我们已转告商家"),
    ],
)
def test_what_is_asked_refused_or_waited_for_is_no_grant(words: str) -> None:
    """Telling how things stand must stay possible."""
    assert clear_free_text(words).text == words


AGENTS_WORDS = [
    json.loads(line) for line in (Path(__file__).parent / "agents_words.jsonl").read_text(encoding="utf-8").splitlines()
]
LET_THROUGH_MAX = 1  # 货已排在今天的车上,晚上走 reads like a parcel's news


def test_of_written_promises_of_agents_the_net_lets_none_through_but_one() -> None:
    """promises.md section 3: a wide net that prefers refusing; 270 sentences written against it."""
    through = [each["text"] for each in AGENTS_WORDS if each["promises"] and not net(each["text"])]

    assert len(through) <= LET_THROUGH_MAX, through


def test_of_written_innocent_words_of_agents_the_net_refuses_none() -> None:
    """An agent must be able to ask, to explain and to tell what was; 263 sentences."""
    refused = [each["text"] for each in AGENTS_WORDS if not each["promises"] and net(each["text"])]

    assert refused == []

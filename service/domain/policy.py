"""The versioned policy: every number of the trade, where it comes from, and what an operator may make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from service.domain.calendar import Calendar, calendar_json, calendar_of, hours_of
from service.domain.duration import duration_of, duration_text
from service.domain.errors import GuardFailed, Kind

REPLY_WINDOW_LEAST = timedelta(seconds=120)  # source 002: "商家需要在2~3分钟内回复平台客服"
REPLY_WINDOW_MOST = timedelta(seconds=180)  # source 002: "2~3分钟"

TICKET_SLA: Mapping[str, timedelta] = MappingProxyType(
    {  # K1, business time: the service-ticket SLA of Douyin (SRV)
        "refund_order_operation": timedelta(hours=2),  # 退款/订单操作
        "exchange": timedelta(hours=12),  # 换货
        "product": timedelta(hours=12),  # 商品问题
        "negotiated_refund": timedelta(hours=12),  # 协商退款
        "courier_complaint": timedelta(hours=12),  # 快递投诉
        "attitude_complaint": timedelta(hours=12),  # 态度投诉
        "second_complaint": timedelta(hours=2),  # 二次投诉
        "voucher": timedelta(hours=2),  # 凭证
        "risk_goods": timedelta(hours=2),  # 风险商品
        "logistics": timedelta(hours=24),  # 物流
        "agreed": timedelta(hours=2),  # 约定时间: at least two hours, extended to what was agreed
    }
)
TICKET_BLOCKING: Mapping[str, bool] = MappingProxyType(
    {"TIMEOUT": True, "NO_SEAT": True, "MANUAL": False, "AGENT_CLOSED": False}  # K2, choice
)
EVIDENCE_KINDS = ("image/jpeg", "image/png", "image/webp", "application/pdf", "video/mp4")  # choice; read from bytes
INQUIRY_HOURS = Calendar(hours_of("08:00-23:00"))  # H1, DYQ: 每日 8:00-23:00; choice
BUSINESS_HOURS = Calendar(hours_of("09:00-21:00"))  # K1, SRV: 9:00-21:00


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a dispute is pinned to when it opens; durations are wall time unless a comment says business time.

    `overrides` change durations and counts per dispute type and category: `"return_refund"`, `"return_refund/fresh"`;
    read a policy through `for_dispute`.
    """

    policy_id: str = "default"
    version: int = 1
    demo: bool = False  # allows a reply window of seconds, for demo merchants only

    # The request and the negotiation
    seller_response: timedelta = timedelta(hours=48)  # T1, WXC: 48 h since the 2023 rules (72 h before)
    escalate_window: timedelta = timedelta(days=7)  # T2, WXG: 7 d after the refusal
    offer_response: timedelta = timedelta(hours=48)  # T3, choice; Shopee has offer_due_date without a number
    offers_max: int = 3  # choice; Shopee counter_limit
    offer_fen_min: int = 1  # choice: an offer of nothing is a refusal
    modifications_max: int = 5  # WXQ: 每个商品最多 5 次
    refusal_chars_min: int = 2  # Taobao rp.refunds refuse: 2..200 characters
    refusal_chars_max: int = 200  # idem

    # The return
    return_ship: timedelta = timedelta(days=7)  # T4, choice
    receipt_from_ship: timedelta = timedelta(days=10)  # T5, choice
    receipt_from_signed: timedelta = timedelta(days=5)  # T5, choice; eBay says 5 business days

    # The intervention
    accept_alarm: timedelta = timedelta(hours=24)  # T6, business time, alarm only; choice
    rule_alarm: timedelta = timedelta(hours=72)  # T7, business time, alarm only, paused while a party is due; choice
    hard_deadline: timedelta = timedelta(days=15)  # T13, choice; Douyin blame 4 + refund_type 5
    hard_deadline_pays: bool = True  # T13: the platform pays; False makes it an agent task with a later end
    hard_deadline_final: timedelta | None = None  # P30D where T13 is only a task: never to nothing; choice
    remand_least: timedelta = timedelta(hours=72)  # arrow 57: T13 at least PT72H from a remand; choice
    agent_task: timedelta = timedelta(hours=24)  # arrow 40b: agent task PT24H; choice
    default_ruling: str = "agent_confirm"  # K2: automatic is the operator's choice
    ruling_limit_fen: int = 50_000  # M1: above it a second person approves; choice
    ruling_cycles_max: int = 2  # section 4: at most two ruling cycles; choice
    cites_min: int = 1  # arrow 39: a ruling cites at least one entry; EBP

    # Evidence
    evidence_auto_mandatory: bool = False  # E0: automatic requests at acceptance are optional; choice
    evidence_window: timedelta = timedelta(hours=48)  # E1, WXC: 48 h
    evidence_extension_max: timedelta = timedelta(hours=24)  # E1, Douyin timeExtend
    evidence_extensions_max: int = 1  # E1
    evidence_item_bytes_max: int = 10 * 1024 * 1024  # api.md: ≤ 10 MB a file; PayPal limits
    evidence_items_max: int = 100  # api.md: ≤ 100 a case
    evidence_kinds: tuple[str, ...] = (
        "image/jpeg",
        "image/png",
        "image/webp",
        "application/pdf",
        "video/mp4",
    )  # choice
    note_chars_max: int = 2_000  # choice: appeal, evidence and problem notes

    # The inquiry
    reply_window: timedelta = timedelta(seconds=180)  # R1, source 002: "商家需要在2~3分钟内回复平台客服"
    reply_warnings: tuple[timedelta, ...] = (timedelta(seconds=60), timedelta(seconds=20))  # R1w, time left; choice
    reply_grace: timedelta = timedelta(seconds=60)  # R1g, once a turn; choice
    settle_margin: timedelta = timedelta(seconds=1)  # section 4: a deadline fires no earlier than due_at + 1 s; choice
    inquiry_appends_max: int = 2  # further agent messages in one turn that may move its end; choice
    inquiry_turn_messages_max: int = 50  # messages of one turn, either side; choice
    inquiry_idle: timedelta = timedelta(minutes=10)  # I1, choice
    inquiry_hours: Calendar | None = INQUIRY_HOURS  # H1; None is always

    # The service ticket
    business_hours: Calendar = BUSINESS_HOURS  # K1: the clock of tickets and of T6, T7
    ticket_sla: Mapping[str, timedelta] = field(default_factory=lambda: TICKET_SLA)  # K1, business time, SRV
    ticket_sla_least: timedelta = timedelta(hours=2)  # K1 and re-arming after a rejection: at least PT2H
    ticket_category_of_timeout: str = "refund_order_operation"  # K2, choice
    ticket_blocking: Mapping[str, bool] = field(default_factory=lambda: TICKET_BLOCKING)  # K2, by cause
    ticket_rejections_max: int = 1  # choice
    ticket_agent_idle: timedelta = timedelta(hours=24)  # choice
    ticket_extensions_max: int = 1  # Douyin timeExtend
    ticket_extension_min: timedelta = timedelta(hours=2)  # Douyin timeExtend; choice
    ticket_extension_max: timedelta = timedelta(hours=24)  # idem

    # The ruling and the appeal
    appeal_window: timedelta = timedelta(hours=72)  # T8, choice
    appeal_alarm: timedelta = timedelta(hours=72)  # T9, alarm; choice
    appeal_review: timedelta = timedelta(days=7)  # T9, hard: the original stands; choice
    remands_max: int = 1  # arrow 57: remands=0
    approval_expiry: timedelta = timedelta(days=1)  # approval: expires P1D
    reopen_within: timedelta = timedelta(days=15)  # section 4: a successor within P15D; Mercado Libre recontact
    buyer_reopens_max: int = 1  # section 4: once by the buyer

    # The money
    refund_retries: timedelta = timedelta(hours=24)  # T10, choice
    refund_attempts_max: int = 8  # arrow 59; choice
    refund_backoff_least: timedelta = timedelta(seconds=60)  # WXA 10021059: one refund a minute and order
    refund_backoff_most: timedelta = timedelta(hours=1)  # choice: eight attempts fit into PT24H
    refund_unknown_after: timedelta = timedelta(hours=1)  # refund_execution: `unknown` PT1H after the last submit
    platform_advance: timedelta = timedelta(hours=72)  # T11, choice
    advance_fund: bool = True  # arrow 62: 平台垫付; Douyin refund_type 5

    # Promises
    promise_lapse: timedelta = timedelta(days=1)  # P1D after extraction; choice
    promises_per_message_max: int = 10  # choice
    ticket_of_broken_promise: bool = True  # promises.md section 3: a ticket when the policy says so; choice

    # Contact between shop and buyer (D11, after source 004: "频繁打电话、发消息骚扰用户")
    contact_calls_per_day_max: int = 2  # product.md D11: at most two calls per buyer and day, Asia/Shanghai
    contact_call_after: timedelta = timedelta(minutes=30)  # choice: from when on a message stays unanswered
    contact_unanswered_messages_max: int = 10  # choice: in a row; an answer in several short messages is no chase

    # The conversation
    message_recall: timedelta = timedelta(minutes=2)  # choice: what users of WeChat and Wangwang know as 撤回; 0: never

    # Bounds
    reply_chars_max: int = 2_000  # choice: one chat message of either side
    reason_chars_max: int = 500  # choice: free reasons of staff and buyers
    attachments_per_message_max: int = 9  # choice: what chat clients of the trade show in one grid
    case_entries_max: int = 20_000  # choice: transcript entries of one dispute
    page_limit_max: int = 200  # api.md: `limit` ≤ 200
    idempotency_kept: timedelta = timedelta(days=7)  # api.md: kept 7 days
    confirm_token_life: timedelta = timedelta(minutes=10)  # api.md: lives until the window closes, at most 10 min
    remind_banner: timedelta = timedelta(seconds=10)  # source 000: the banner disappears by itself after 10 s

    overrides: Mapping[str, Mapping[str, timedelta | int]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def ref(self) -> str:
        """How rulings and disputes name the policy: `default@1`."""
        return f"{self.policy_id}@{self.version}"

    def for_dispute(self, dispute_type: str, category: str | None = None) -> Policy:
        """The policy as it applies to a dispute: overrides of its type, then of its type and category."""
        found = dict(self.overrides.get(dispute_type, {}))
        if category is not None:
            found.update(self.overrides.get(f"{dispute_type}/{category}", {}))
        return replace(self, **found) if found else self  # type: ignore[arg-type]  # kinds checked by require_valid


DEFAULT = Policy()
DEMO = Policy(policy_id="demo", demo=True, reply_window=timedelta(seconds=12), inquiry_hours=None)  # choice

# Every duration and count by name with the bounds an operator has; what is not named may not be overridden per type.
_LENGTH_MOST = timedelta(days=365)  # choice: a bound on every duration of a policy
_COUNT_MOST = 10**9  # choice: a bound on every count and amount of a policy
_MAY_BE_ZERO = frozenset({"settle_margin", "offers_max", "modifications_max", "ruling_limit_fen", "remands_max"}) | {
    "message_recall",
    "evidence_extensions_max",
    "ticket_rejections_max",
    "ticket_extensions_max",
    "buyer_reopens_max",
    "inquiry_appends_max",
}
_NOT_OVERRIDABLE = frozenset({"version", "reply_window", "settle_margin", "idempotency_kept", "page_limit_max"})


def _refuse(code: str, zh: str, en: str, **facts: Any) -> GuardFailed:
    return GuardFailed(code, zh=zh, en=en, **facts)


def require_valid(policy: Policy) -> None:
    """Refuse a policy that nobody could live by.

    Raises:
        GuardFailed: `policy_reply_window` (outside 120…180 s and not demo), `policy_hard_deadline` (T13 switched to
            nothing), `policy_bounds` (a number out of bounds, or an override of something that has none),
            `policy_default_ruling`, `policy_ticket_category`.
    """
    _require_name(policy)
    _require_reply_window(policy)
    _require_hard_deadline(policy)
    _require_bounds(policy)
    for name, least, most in (
        ("refusal_chars", policy.refusal_chars_min, policy.refusal_chars_max),
        ("ticket_extension", policy.ticket_extension_min, policy.ticket_extension_max),
        ("refund_backoff", policy.refund_backoff_least, policy.refund_backoff_most),
    ):
        if least > most:  # type: ignore[operator]  # each pair is of one kind
            raise _refuse("policy_bounds", "下限大于上限", "The least is more than the most", name=name)
    if policy.default_ruling not in ("auto", "agent_confirm"):
        raise _refuse("policy_default_ruling", "默认判责方式不存在", "No such default", value=policy.default_ruling)
    _require_tickets(policy)
    for key, changes in policy.overrides.items():
        _require_override(policy, key, changes)


def _require_name(policy: Policy) -> None:
    allowed = policy.policy_id.replace("_", "").replace("-", "")
    if not (allowed.isascii() and allowed.isalnum() and len(policy.policy_id) <= 64) or policy.version < 1:
        raise _refuse("policy_name", "策略编号不合规", "A policy is named by letters, digits, - and _")


def _require_reply_window(policy: Policy) -> None:
    if policy.demo:
        fits = timedelta(0) < policy.reply_window <= REPLY_WINDOW_MOST
    else:
        fits = REPLY_WINDOW_LEAST <= policy.reply_window <= REPLY_WINDOW_MOST
    if not fits:
        raise _refuse(
            "policy_reply_window",
            "回复时限须在 120 至 180 秒之间",
            "The reply window is 120 to 180 seconds",
            reply_window=duration_text(policy.reply_window),
        )


def _require_hard_deadline(policy: Policy) -> None:
    final = policy.hard_deadline_final
    if policy.hard_deadline_pays if final is None else final > policy.hard_deadline:
        return
    raise _refuse(
        "policy_hard_deadline",
        "硬时限改为人工任务时,须另设更晚的自动终局",
        "T13 may become a task only together with a later automatic end",
        hard_deadline=duration_text(policy.hard_deadline),
    )


def _require_bounds(policy: Policy) -> None:
    for name in _field_names():
        value = getattr(policy, name)
        if isinstance(value, bool) or not isinstance(value, (int, timedelta)):
            continue
        zero, most = (timedelta(0), _LENGTH_MOST) if isinstance(value, timedelta) else (0, _COUNT_MOST)
        if not zero <= value <= most or (value == zero and name not in _MAY_BE_ZERO):  # type: ignore[operator]  # same kind
            raise _refuse("policy_bounds", "数值超出允许范围", "Out of bounds", name=name)
    if any(left <= timedelta(0) for left in policy.reply_warnings):
        raise _refuse("policy_bounds", "提醒须早于时限", "A warning comes before the end", name="reply_warnings")


def _require_tickets(policy: Policy) -> None:
    if policy.ticket_category_of_timeout not in policy.ticket_sla:
        raise _refuse("policy_ticket_category", "服务单类别不存在", "No such category")
    if set(policy.ticket_blocking) != set(TICKET_BLOCKING):
        raise _refuse("policy_ticket_category", "服务单原因不完整", "Each cause says whether it blocks")
    for category, span in policy.ticket_sla.items():
        if not policy.ticket_sla_least <= span <= _LENGTH_MOST:
            raise _refuse("policy_bounds", "服务单时限过短或过长", "Out of bounds", name=f"ticket_sla.{category}")


def _require_override(policy: Policy, key: str, changes: Mapping[str, timedelta | int]) -> None:
    if key.partition("/")[0] not in ("refund_only", "return_refund"):
        raise _refuse("policy_bounds", "没有这种纠纷类型", "No such type of dispute", name=key)
    for name, value in changes.items():
        present = getattr(policy, name, None) if name in _field_names() else None
        fits = type(value) is type(present) and isinstance(value, (int, timedelta)) and not isinstance(value, bool)
        if name in _NOT_OVERRIDABLE or not fits:
            raise _refuse("policy_bounds", "此项不可按类型调整", "Not overridable", name=f"{key}.{name}")
    applied = replace(policy, overrides={}, **changes)  # type: ignore[arg-type]  # kinds checked above
    _require_bounds(applied)
    _require_hard_deadline(applied)


def require_demo_allowed(policy: Policy, *, merchant_is_demo: bool, demo_enabled: bool) -> None:
    """Refuse to pin a demo policy to anybody but a demo merchant of an embedded demo.

    Raises:
        Refusal: `demo_policy_refused`, forbidden.
    """
    if policy.demo and not (merchant_is_demo and demo_enabled):
        raise GuardFailed(
            "demo_policy_refused",
            kind=Kind.FORBIDDEN,
            zh="演示策略只适用于演示商家",
            en="A demo policy is for demo merchants only",
            policy=policy.ref,
        )


def _field_names() -> frozenset[str]:
    return frozenset(spec.name for spec in fields(Policy))


def to_json(policy: Policy) -> dict[str, object]:
    """Write a policy as JSON-able values: durations ISO 8601, hours as `HH:MM-HH:MM`."""
    return {spec.name: _json_of(getattr(policy, spec.name)) for spec in fields(policy)}


def _json_of(value: object) -> object:
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Calendar):
        return calendar_json(value)
    if isinstance(value, tuple):
        return [_json_of(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _json_of(each) for key, each in value.items()}
    return value


def from_json(stored: Mapping[str, object]) -> Policy:
    """Read what `to_json` wrote; a field left out takes its default. The result is valid.

    Raises:
        GuardFailed: `policy_malformed` (unknown field or wrong kind of value), or what `require_valid` says.
    """
    unknown = sorted(set(stored) - _field_names())
    if unknown:
        raise _refuse("policy_malformed", "策略含有未知字段", "Unknown fields", fields=unknown[:20])
    read: dict[str, object] = {}
    for name, value in stored.items():
        read[name] = _overrides_of(value) if name == "overrides" else _value_of(name, value, getattr(DEFAULT, name))
    policy = Policy(**read)  # type: ignore[arg-type]  # each value was read as the kind of its default
    require_valid(policy)
    return policy


def _malformed(name: str) -> GuardFailed:
    return _refuse("policy_malformed", "策略字段格式不对", "Wrong kind of value", name=name)


def _value_of(name: str, value: object, default: object) -> object:
    if name == "hard_deadline_final":
        return None if value is None else _duration(name, value)
    if name == "inquiry_hours":
        return None if value is None else _calendar(name, value)
    if isinstance(default, Calendar):
        return _calendar(name, value)
    if isinstance(default, timedelta):
        return _duration(name, value)
    if isinstance(default, tuple):
        return _tuple_of(name, value)
    if isinstance(default, Mapping):
        return _mapping_of(name, value)
    if type(value) is not type(default):
        raise _malformed(name)
    return value


def _duration(name: str, value: object) -> timedelta:
    if not isinstance(value, str):
        raise _malformed(name)
    return duration_of(value)


def _calendar(name: str, value: object) -> Calendar:
    if not isinstance(value, Mapping):
        raise _malformed(name)
    return calendar_of(value)


def _tuple_of(name: str, value: object) -> tuple[object, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value) or len(value) > 100:
        raise _malformed(name)
    return tuple(duration_of(each) for each in value) if name == "reply_warnings" else tuple(value)


def _mapping_of(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or len(value) > 100:
        raise _malformed(name)
    if name == "ticket_sla":
        return {str(key): _duration(name, each) for key, each in value.items()}
    if not all(isinstance(each, bool) for each in value.values()):
        raise _malformed(name)
    return dict(value)


def _overrides_of(value: object) -> Mapping[str, Mapping[str, object]]:
    if not isinstance(value, Mapping) or len(value) > 1_000:
        raise _malformed("overrides")
    read: dict[str, dict[str, object]] = {}
    for key, changes in value.items():
        if not isinstance(changes, Mapping) or not set(changes) <= _field_names():
            raise _malformed("overrides")
        read[str(key)] = {name: _value_of(name, each, getattr(DEFAULT, name)) for name, each in changes.items()}
    return read

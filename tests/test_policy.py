"""The policy: what an operator may set, and what nobody may."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import GuardFailed, Kind
from service.domain.policy import (
    DEFAULT,
    DEMO,
    Policy,
    from_json,
    require_demo_allowed,
    require_valid,
    to_json,
)

SECOND = timedelta(seconds=1)
MICRO = timedelta(microseconds=1)
NUMBERS = {  # section 3 and api.md, by hand
    "seller_response": "PT48H",
    "escalate_window": "P7D",
    "offer_response": "PT48H",
    "return_ship": "P7D",
    "receipt_from_ship": "P10D",
    "receipt_from_signed": "P5D",
    "accept_alarm": "PT24H",
    "rule_alarm": "PT72H",
    "hard_deadline": "P15D",
    "evidence_window": "PT48H",
    "evidence_extension_max": "PT24H",
    "reply_window": "PT3M",
    "reply_warnings": ["PT1M", "PT20S"],
    "reply_grace": "PT1M",
    "settle_margin": "PT1S",
    "appeal_window": "PT72H",
    "appeal_alarm": "PT72H",
    "appeal_review": "P7D",
    "refund_retries": "PT24H",
    "platform_advance": "PT72H",
    "inquiry_idle": "PT10M",
    "inquiry_hours": {"hours": ["08:00-23:00"], "holidays": []},
    "business_hours": {"hours": ["09:00-21:00"], "holidays": []},
    "ticket_category_of_timeout": "refund_order_operation",
    "ticket_blocking": {"TIMEOUT": True, "NO_SEAT": True, "MANUAL": False, "AGENT_CLOSED": False},
    "default_ruling": "agent_confirm",
    "evidence_auto_mandatory": False,
    "ruling_limit_fen": 50_000,
    "offers_max": 3,
    "modifications_max": 5,
    "refund_attempts_max": 8,
    "remands_max": 1,
    "evidence_item_bytes_max": 10_485_760,
    "evidence_items_max": 100,
    "promise_lapse": "PT24H",
    "approval_expiry": "PT24H",
    "idempotency_kept": "P7D",
    "page_limit_max": 200,
}


@pytest.mark.parametrize(("name", "value"), NUMBERS.items())
def test_the_default_policy_has_the_numbers_of_the_design(name: str, value: object) -> None:
    """default@1."""
    assert to_json(DEFAULT)[name] == value


def test_the_two_policies_that_ship_are_valid_and_named() -> None:
    """default@1 and demo@1."""
    require_valid(DEFAULT)
    require_valid(DEMO)

    assert (DEFAULT.ref, DEMO.ref) == ("default@1", "demo@1")
    assert DEMO.inquiry_hours is None


@pytest.mark.parametrize("seconds", [120, 150, 180])
def test_a_reply_window_of_two_to_three_minutes_is_valid(seconds: int) -> None:
    """Source 002: 2~3分钟."""
    require_valid(replace(DEFAULT, reply_window=seconds * SECOND))


@pytest.mark.parametrize("window", [120 * SECOND - MICRO, 180 * SECOND + MICRO, timedelta(0), SECOND])
def test_any_other_reply_window_is_refused(window: timedelta) -> None:
    """R1: allowed 120…180, to the microsecond."""
    with pytest.raises(GuardFailed) as refused:
        require_valid(replace(DEFAULT, reply_window=window))
    assert refused.value.code == "policy_reply_window"


@pytest.mark.parametrize(
    ("window", "valid"), [(MICRO, True), (180 * SECOND, True), (timedelta(0), False), (181 * SECOND, False)]
)
def test_a_demo_may_shorten_the_window_and_not_lengthen_it(window: timedelta, valid: bool) -> None:
    """Only as demo: true."""
    demo = replace(DEMO, reply_window=window)
    if valid:
        require_valid(demo)
    else:
        with pytest.raises(GuardFailed):
            require_valid(demo)


@pytest.mark.parametrize(
    ("merchant_is_demo", "demo_enabled", "allowed"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_a_demo_policy_is_for_demo_merchants_of_an_embedded_demo(
    merchant_is_demo: bool, demo_enabled: bool, allowed: bool
) -> None:
    """No dispute of a non-demo merchant can be pinned to it."""
    require_demo_allowed(DEFAULT, merchant_is_demo=merchant_is_demo, demo_enabled=demo_enabled)
    if allowed:
        require_demo_allowed(DEMO, merchant_is_demo=merchant_is_demo, demo_enabled=demo_enabled)
    else:
        with pytest.raises(GuardFailed) as refused:
            require_demo_allowed(DEMO, merchant_is_demo=merchant_is_demo, demo_enabled=demo_enabled)
        assert refused.value.code == "demo_policy_refused"
        assert refused.value.kind is Kind.FORBIDDEN


@pytest.mark.parametrize(
    ("pays", "final", "valid"),
    [
        (True, None, True),
        (False, None, False),
        (False, timedelta(days=30), True),
        (False, timedelta(days=15), False),
        (False, timedelta(days=15) + MICRO, True),
    ],
)
def test_the_hard_deadline_becomes_a_task_only_with_a_later_end(
    pays: bool, final: timedelta | None, valid: bool
) -> None:
    """T13: never to nothing."""
    policy = replace(DEFAULT, hard_deadline_pays=pays, hard_deadline_final=final)
    if valid:
        require_valid(policy)
    else:
        with pytest.raises(GuardFailed) as refused:
            require_valid(policy)
        assert refused.value.code == "policy_hard_deadline"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"seller_response": timedelta(0)}, "policy_bounds"),
        ({"seller_response": timedelta(days=366)}, "policy_bounds"),
        ({"appeal_window": -SECOND}, "policy_bounds"),
        ({"offers_max": -1}, "policy_bounds"),
        ({"refund_attempts_max": 0}, "policy_bounds"),
        ({"refusal_chars_min": 201}, "policy_bounds"),
        ({"ticket_extension_min": timedelta(hours=25)}, "policy_bounds"),
        ({"reply_warnings": (timedelta(0),)}, "policy_bounds"),
        ({"refund_backoff_least": timedelta(hours=2)}, "policy_bounds"),
        ({"default_ruling": "coin"}, "policy_default_ruling"),
        ({"ticket_category_of_timeout": "gossip"}, "policy_ticket_category"),
        ({"ticket_blocking": {"TIMEOUT": True}}, "policy_ticket_category"),
        ({"ticket_sla": {"refund_order_operation": timedelta(hours=2) - MICRO}}, "policy_bounds"),
        ({"policy_id": "a b"}, "policy_name"),
        ({"policy_id": ""}, "policy_name"),
        ({"version": 0}, "policy_name"),
    ],
)
def test_numbers_nobody_could_live_by_are_refused(change: dict[str, Any], code: str) -> None:
    """Every number has bounds."""
    with pytest.raises(GuardFailed) as refused:
        require_valid(replace(DEFAULT, **change))
    assert refused.value.code == code


@pytest.mark.parametrize("policy", [DEFAULT, DEMO], ids=["default", "demo"])
def test_a_policy_written_down_is_the_same_policy_when_read(policy: Policy) -> None:
    """Pinned to a dispute, it comes back as it was."""
    stored = json.loads(json.dumps(to_json(policy)))

    assert from_json(stored) == policy


def test_every_field_survives_being_written_and_read() -> None:
    """A policy unlike the default in as much as may differ."""
    odd = replace(
        DEFAULT,
        policy_id="odd",
        version=7,
        seller_response=timedelta(hours=24),
        hard_deadline_pays=False,
        hard_deadline_final=timedelta(days=30),
        inquiry_hours=None,
        overrides={"return_refund/fresh": {"return_ship": timedelta(days=1), "offers_max": 1}},
    )

    assert from_json(json.loads(json.dumps(to_json(odd)))) == odd


def test_a_field_left_out_takes_its_default() -> None:
    """An operator writes down only what differs."""
    assert from_json({"policy_id": "mine", "reply_window": "PT120S"}) == replace(
        DEFAULT, policy_id="mine", reply_window=timedelta(seconds=120)
    )


@pytest.mark.parametrize(
    "stored",
    [
        {"seller_respons": "PT48H"},
        {"seller_response": 48},
        {"offers_max": "3"},
        {"offers_max": True},
        {"demo": 1},
        {"business_hours": "09:00-21:00"},
        {"inquiry_hours": 8},
        {"reply_warnings": "PT60S"},
        {"ticket_sla": {"logistics": 24}},
        {"ticket_blocking": {"TIMEOUT": "yes"}},
        {"overrides": {"return_refund": {"unheard_of": 1}}},
        {"overrides": []},
        {"ticket_sla": []},
        {"reply_warnings": ["PT60S"] * 101},
        {"ticket_sla": {f"category_{number}": "PT2H" for number in range(101)}},
        {"overrides": {f"return_refund/{number}": {} for number in range(1_001)}},
    ],
)
def test_what_is_no_policy_is_refused(stored: dict[str, object]) -> None:
    """Unknown fields and wrong kinds of values."""
    with pytest.raises(GuardFailed) as refused:
        from_json(stored)
    assert refused.value.code == "policy_malformed"


def test_as_much_as_a_policy_may_hold_is_read() -> None:
    """The bounds from inside, and a least that equals its most."""
    stored: dict[str, object] = {
        "reply_warnings": [f"PT{179 - second}S" for second in range(100)],
        "ticket_sla": {**{f"category_{number}": "PT2H" for number in range(99)}, "refund_order_operation": "PT2H"},
        "overrides": {f"return_refund/{number}": {} for number in range(1_000)},
        "refusal_chars_min": 200,
        "refusal_chars_max": 200,
    }

    policy = from_json(stored)

    assert (len(policy.ticket_sla), len(policy.overrides)) == (100, 1_000)


def test_reading_checks_what_it_read() -> None:
    """A stored policy that nobody could live by is refused as well."""
    with pytest.raises(GuardFailed) as refused:
        from_json({"reply_window": "PT200S"})
    assert refused.value.code == "policy_reply_window"
    with pytest.raises(GuardFailed) as refused:
        from_json({"seller_response": "two days"})
    assert refused.value.code == "duration_malformed"


def test_a_category_overrides_its_type_and_the_type_the_policy() -> None:
    """Section 3: overridable per type and category."""
    policy = replace(
        DEFAULT,
        overrides={
            "return_refund": {"return_ship": timedelta(days=5), "offers_max": 2},
            "return_refund/fresh": {"return_ship": timedelta(days=1)},
        },
    )
    require_valid(policy)

    assert policy.for_dispute("refund_only", "fresh").return_ship == timedelta(days=7)
    assert policy.for_dispute("return_refund").return_ship == timedelta(days=5)
    assert policy.for_dispute("return_refund", "fresh").return_ship == timedelta(days=1)
    assert policy.for_dispute("return_refund", "fresh").offers_max == 2
    assert policy.for_dispute("return_refund", "fresh").ref == policy.ref


@pytest.mark.parametrize(
    "overrides",
    [
        {"exchange": {"return_ship": timedelta(days=1)}},
        {"return_refund": {"reply_window": timedelta(seconds=5)}},
        {"return_refund": {"return_ship": 5}},
        {"return_refund": {"offers_max": timedelta(days=1)}},
        {"return_refund": {"demo": 1}},
        {"return_refund": {"nothing_such": 1}},
        {"return_refund": {"return_ship": timedelta(0)}},
        {"return_refund": {"settle_margin": timedelta(hours=1)}},
    ],
)
def test_an_override_of_what_may_not_be_overridden_is_refused(overrides: dict[str, Any]) -> None:
    """No back door to a short reply window."""
    with pytest.raises(GuardFailed) as refused:
        require_valid(replace(DEFAULT, overrides=overrides))
    assert refused.value.code == "policy_bounds"


def test_a_policy_cannot_be_changed_in_place() -> None:
    """Pinned means pinned: the shared maps are closed too."""
    with pytest.raises(AttributeError):
        DEFAULT.offers_max = 4
    with pytest.raises(TypeError):
        DEFAULT.ticket_sla["logistics"] = timedelta(hours=1)
    assert {spec.name for spec in fields(DEFAULT)} == set(to_json(DEFAULT))

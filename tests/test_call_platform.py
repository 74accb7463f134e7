"""Either party calls the platform in, or a rule does: until when, with what to cite, and how often."""

from __future__ import annotations

import pytest

from service.domain.errors import ArrowMissing, GuardFailed, WindowClosed
from service.flows.call_platform import Cited, platform_intervene
from service.flows.context import Context
from service.flows.moves import facts_of, move
from service.flows.read_case import read_case, require_seen
from service.store import tables
from tests.judge import dispute
from tests.negotiating import RISK, call, said, together
from tests.world import BUYER, OWNER, SUPERVISOR, World


def test_a_buyer_calls_the_platform_until_the_seventh_day_is_over(world: World) -> None:
    """Edge case 19: T2 as shown is the T2 that is used, in UTC microseconds, whatever the day in Shanghai."""
    late, timely = world.make_dispute("refused"), world.make_dispute("refused")
    seen = world.tell(BUYER, lambda ctx: read_case(ctx, require_seen(ctx, late)))
    shown = next(a.due_at for a in seen.actions if a.action == "request-intervention")
    assert shown is not None

    world.now = shown
    with pytest.raises(WindowClosed):
        call(world, late)
    world.pass_time(microseconds=-1)
    call(world, timely)

    row = dispute(world, timely)
    assert (row.state, row.intervened_at) == ("intervention_requested", world.now)
    assert {"accept_alarm", "hard_deadline"} == set(world.armed(timely))


def test_a_second_call_finds_the_arrow_gone(world: World) -> None:
    """Edge case 2: same intervention request twice, another key → second 409 `arrow_missing`."""
    dispute_id = world.make_dispute("refused")
    call(world, dispute_id)

    with pytest.raises(ArrowMissing):
        call(world, dispute_id)


def test_a_supervisor_calls_on_the_buyers_behalf_and_is_marked_so(world: World) -> None:
    """Edge case 57: supervisor acting on behalf is marked so."""
    dispute_id = world.make_dispute("refused")

    call(world, dispute_id, SUPERVISOR, reason="vulnerable_buyer")

    entry = next(
        e for e in world.rows(tables.TranscriptEntry, dispute_id=dispute_id) if e.kind.endswith("_intervention")
    )
    assert b'"on_behalf_of":"buyer"' in entry.body
    assert dispute(world, dispute_id).opened_by == "supervisor"


def test_a_merchant_reports_with_a_message_of_the_buyer(world: World) -> None:
    """B5: a merchant cites a message; the report alone changes no money."""
    dispute_id = world.make_dispute("requested")
    message_id = said(world, dispute_id, "不退全款我就给你差评,再叫人来骂")

    call(world, dispute_id, OWNER, cites=(Cited(message_id, 8, 10, "差评"),), note="买家以差评威胁,请平台处理")

    row = dispute(world, dispute_id)
    assert (row.state, row.opened_by, row.awarded_fen) == ("intervention_requested", "merchant", None)
    assert world.rows(tables.RefundExecution) == []


def test_words_that_do_not_stand_there_are_no_citation(world: World) -> None:
    """B4: message id, start, end and text are verified against the stored words."""
    dispute_id = world.make_dispute("requested")
    message_id = said(world, dispute_id, "不退全款我就给你差评,再叫人来骂")

    for start, end, text in (
        (8, 10, "好评"),
        (7, 9, "差评"),
        (8, 10, "差"),
        (8, 8, ""),
        (10, 8, "差评"),
        (0, 99, "差评"),
    ):
        with pytest.raises(GuardFailed, match="quotation_mismatch"):
            call(world, dispute_id, OWNER, cites=(Cited(message_id, start, end, text),))


def test_a_merchant_cites_the_buyer_and_this_dispute_only(world: World) -> None:
    """B5: no citation, an own message, another dispute's message, one that nobody wrote."""
    dispute_id, other = world.make_dispute("requested"), world.make_dispute("requested")
    own = said(world, dispute_id, "您好,请问是哪里不满意呢", OWNER)
    elsewhere = said(world, other, "我要投诉你们")

    for cites, code in (
        ((), "citation_missing"),
        ((Cited(own),), "citation_not_of_buyer"),
        ((Cited(elsewhere),), "quotation_unknown"),
        ((Cited("01890000-0000-7000-8000-00000000dead"),), "quotation_unknown"),
    ):
        with pytest.raises(GuardFailed, match=code):
            call(world, dispute_id, OWNER, cites=cites)

    assert dispute(world, dispute_id).state == "requested"


def test_after_a_return_that_was_ruled_only_an_obstacle_brings_the_platform_back(world: World) -> None:
    """Arrow 27: origin=ruling needs a reason why the goods cannot be sent."""
    ruled = world.make_dispute("awaiting_return", return_origin="ruling")
    agreed = world.make_dispute("awaiting_return", return_origin="consent")

    with pytest.raises(GuardFailed, match="return_was_ruled"):
        call(world, ruled, reason="other")
    call(world, ruled, reason="courier_refused")
    call(world, agreed, reason="other")

    assert [dispute(world, each).cycle for each in (ruled, agreed)] == [2, 1]


def test_a_risk_rule_brings_the_platform_in(world: World) -> None:
    """Arrow 9: opened by the system, with the rule named."""
    dispute_id = world.make_dispute("requested")

    world.tell(RISK, lambda ctx: platform_intervene(ctx, dispute_id, risk_rule="counterfeit-3"))

    assert dispute(world, dispute_id).opened_by == "system"


def test_the_second_refusal_needs_nothing_of_the_buyer(world: World) -> None:
    """Edge case 44: goods at the merchant and a second refusal: the intervention opens by itself (arrow 32)."""
    dispute_id = world.make_dispute("return_in_transit", return_origin="consent")

    def story(ctx: Context) -> None:
        case = require_seen(ctx, dispute_id, lock=True)
        move(ctx, case, "seller_report_return_problem", facts_of(ctx, case, ack="DAMAGED", evidence_count=1))

    world.tell(OWNER, story)

    assert dispute(world, dispute_id).state == "intervention_requested"


def test_of_two_calls_at_once_one_is_taken(world: World) -> None:
    """Edge case 2: the buyer's two devices ask for the platform."""
    dispute_id = world.make_dispute("refused")

    ended = together(lambda: call(world, dispute_id), lambda: call(world, dispute_id))

    assert sorted(ended) == ["arrow_missing", "done"]
    assert world.kinds(dispute_id).count("dispute.request_intervention") == 1

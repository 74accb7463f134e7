"""The shop answers the request: it refuses, agrees, offers, improves its offer.

Every text of the merchant is heard first; what the measure does not let out is recorded and the dispute stays where
it is. An agreement or an accepted offer fixes what is awarded.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import GuardFailed
from service.flows.agreeing import require_arrow, require_something_left, return_agreed, rma_of
from service.flows.context import Context
from service.flows.heard import Heard, Outcome, rules_facts
from service.flows.hearing import hear_note, keep_back, let_out, require_length
from service.flows.moves import facts_of, move, window_due
from service.flows.read_case import require_may_after_sale, require_seen
from service.store import tables
from service.store.disputes import CaseFile
from service.store.uploads import upload_of

ADDRESS_CHARS_MAX = 300  # choice: the column's bound
PROOFS_MAX = 9  # choice: as many pictures as one message of the trade shows


@dataclass(frozen=True, slots=True)
class Refusing:
    """A refusal: one of the listed reasons, 2 to 200 characters of why, and proof where the reason needs it."""

    reason: str
    message: str
    proof: tuple[str, ...] = ()  # sha256 of uploaded files
    confirm_token: str | None = None


@dataclass(frozen=True, slots=True)
class Offering:
    """A proposal in the dispute's currency; the note is optional."""

    kind: str
    amount_fen: int
    currency: str
    note: str | None = None
    confirm_token: str | None = None


def seller_refuse(ctx: Context, dispute_id: str, refusing: Refusing) -> Outcome | None:
    """Refuse the request; the buyer has until T2 to bring the platform in.

    Returns:
        An outcome where the message was not let out: nothing has moved then.

    Raises:
        Absent: not this shop's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `window_closed`, `confirm_token_invalid`.
        GuardFailed: `reason_not_refusable`, `refusal_message_length`, `proof_missing`, `proof_unknown`.
    """
    case = _case_of_seller(ctx, dispute_id)
    facts = facts_of(
        ctx, case, reason=refusing.reason, message_chars=len(refusing.message), has_proof=bool(refusing.proof)
    )
    require_arrow(ctx, case, "seller_refuse", facts)
    _require_files(ctx, case, refusing.proof)
    heard = _heard(ctx, case, refusing.message, "refusal", refusing.confirm_token, files=refusing.proof)
    if not heard.is_sent:
        return keep_back(
            ctx,
            case,
            heard,
            field_name="refusal",
            window_due_at=window_due(case),
            facts={"reason": refusing.reason},
        )
    seq = case.dispute.last_seq + 1
    move(
        ctx,
        case,
        "seller_refuse",
        facts,
        changes={"refusal_round": 1, "refusal_seq": seq, "refusal_reason": refusing.reason},
        entry_facts={"reason": refusing.reason, "proofs": len(refusing.proof)},
        rules=rules_facts(heard.reply),
        private={"message": refusing.message, "proof": list(refusing.proof) or None},
    )
    let_out(ctx, case, heard, field_name="refusal")
    return None


def seller_agree_refund(ctx: Context, dispute_id: str, *, amount_fen: int | None, currency: str | None) -> None:
    """Agree to refund what was asked for, early or late; less is an offer.

    Args:
        amount_fen: None is the amount requested.

    Raises:
        Absent: not this shop's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`.
        GuardFailed: `amount_not_as_requested`, `type_not_refund_only`, `amount_over_refundable`.
    """
    case = _case_of_seller(ctx, dispute_id)
    claimed = case.dispute.claimed_fen
    facts = facts_of(ctx, case, amount_fen=claimed if amount_fen is None else amount_fen)
    require_arrow(ctx, case, "seller_agree_refund", facts)
    if facts.amount_fen != claimed or (amount_fen is not None and currency != case.dispute.currency):
        raise GuardFailed(
            "amount_not_as_requested",
            zh="金额须与申请一致",
            en="The amount is the one requested",
            amount_fen=facts.amount_fen,
            claimed_fen=claimed,
        )
    require_something_left(facts)
    move(
        ctx,
        case,
        "seller_agree_refund",
        facts,
        changes={"awarded_fen": claimed},
        entry_facts={"amount_fen": claimed},
    )


def seller_agree_return(
    ctx: Context, dispute_id: str, *, return_address: str | None, confirm_token: str | None
) -> Outcome | None:
    """Agree to take the goods back and refund then; the address is fixed at this moment (edge case 43).

    Args:
        return_address: None is the shop's own.

    Returns:
        An outcome where the address given was not let out: nothing has moved then.

    Raises:
        Absent: not this shop's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `confirm_token_invalid`.
        GuardFailed: `type_not_return_refund`, `return_address_missing`, `return_already_sent`, `return_already_agreed`.
    """
    case = _case_of_seller(ctx, dispute_id)
    given = (return_address or "").strip() or None
    require_length(given or "", least=0, most=ADDRESS_CHARS_MAX, field_name="return_address")
    address = given or case.merchant.return_address
    facts = facts_of(ctx, case, return_address=bool(address))
    require_arrow(ctx, case, "seller_agree_return", facts)
    require_something_left(facts)
    heard = _heard(ctx, case, given, "return_address", confirm_token) if given else None
    if heard is not None and not heard.is_sent:
        return keep_back(ctx, case, heard, field_name="return_address", window_due_at=window_due(case))
    move(
        ctx,
        case,
        "seller_agree_return",
        facts,
        changes={"awarded_fen": case.dispute.claimed_fen} | return_agreed(address),
        entry_facts={"rma": rma_of(case), "amount_fen": case.dispute.claimed_fen},
        rules=rules_facts(heard.reply) if heard else None,
        private={"return_address": address},
    )
    if heard is not None:
        let_out(ctx, case, heard, field_name="return_address")
    return None


def seller_offer(ctx: Context, dispute_id: str, offering: Offering) -> Outcome | None:
    """Put an offer on the table; the buyer has until T3 to answer it.

    Returns:
        An outcome where the note was not let out: nothing has moved then.

    Raises:
        Absent: not this shop's dispute.
        Forbidden: `seat_inactive`, `after_sale_permission_missing`.
        Conflict: `arrow_missing`, `window_closed`, `confirm_token_invalid`.
        GuardFailed: `offers_exhausted`, `offer_out_of_range`, `offer_kind_unknown`, `currency_mismatch`,
            `return_address_missing`, `text_length`.
    """
    return _put_offer(ctx, dispute_id, "seller_offer", offering)


def improve_offer(ctx: Context, dispute_id: str, offering: Offering) -> Outcome | None:
    """Replace the offer on the table with one better for the buyer; as `seller_offer`, and `offer_not_better`."""
    return _put_offer(ctx, dispute_id, "seller_improve_offer", offering)


def _put_offer(ctx: Context, dispute_id: str, trigger: str, offering: Offering) -> Outcome | None:
    case = _case_of_seller(ctx, dispute_id)
    dispute, open_offer = case.dispute, case.open_offer
    facts = facts_of(ctx, case, offer_kind=offering.kind, amount_fen=offering.amount_fen)
    require_arrow(ctx, case, trigger, facts)
    _require_offerable(case, offering)
    note = offering.note or None
    require_length(note or "", least=0, most=facts.policy.reason_chars_max, field_name="note")
    offered = {"kind": offering.kind, "amount_fen": offering.amount_fen}
    heard = _heard(ctx, case, note, "offer_note", offering.confirm_token) if note else None
    if heard is not None and not heard.is_sent:
        return keep_back(ctx, case, heard, field_name="offer_note", window_due_at=window_due(case), facts=offered)
    offer_id, number = ctx.new_id(), dispute.offers_used + 1
    move(
        ctx,
        case,
        trigger,
        facts,
        changes={"offers_used": number},
        entry_facts={"offer": offer_id, "number": number} | offered,
        rules=rules_facts(heard.reply) if heard else None,
        private={"note": note},
    )
    if open_offer is not None:
        ctx.plan.update(tables.Offer, open_offer.id, state="superseded")
    ctx.plan.insert(
        tables.Offer,
        id=offer_id,
        dispute_id=dispute.id,
        number=number,
        kind=offering.kind,
        amount_fen=offering.amount_fen,
        state="open",
        seq=dispute.last_seq + 1,
        made_by=ctx.actor.seat_id,
        created_at=ctx.now,
    )
    if heard is not None:
        let_out(ctx, case, heard, field_name="offer_note")
    return None


def _require_offerable(case: CaseFile, offering: Offering) -> None:
    if offering.currency != case.dispute.currency:
        raise GuardFailed(
            "currency_mismatch",
            zh="币种与订单不一致",
            en="Not the currency of the order",
            currency=offering.currency,
            order_currency=case.dispute.currency,
        )
    if offering.kind == "refund_with_return" and not (case.dispute.return_address or case.merchant.return_address):
        raise GuardFailed("return_address_missing", zh="请先填写退货地址", en="A return address is needed")


# --- parts ----------------------------------------------------------------------------------------------------------


def _require_files(ctx: Context, case: CaseFile, hashes: tuple[str, ...]) -> None:
    """Refuse proof that the shop has not uploaded to this dispute.

    Raises:
        GuardFailed: `proof_unknown` with the fingerprint, `proofs_too_many`.
    """
    if len(hashes) > PROOFS_MAX:
        raise GuardFailed("proofs_too_many", zh="凭证数量过多", en="Too many files", most=PROOFS_MAX)
    for sha256 in hashes:
        if upload_of(ctx.tx.session, case.dispute.id, party="merchant", sha256=sha256) is None:
            raise GuardFailed("proof_unknown", zh="凭证文件不存在,请先上传", en="Upload it first", sha256=sha256)


def _case_of_seller(ctx: Context, dispute_id: str) -> CaseFile:
    case = require_seen(ctx, dispute_id, lock=True)
    require_may_after_sale(ctx)
    return case


def _heard(
    ctx: Context, case: CaseFile, text: str, field_name: str, token: str | None, *, files: tuple[str, ...] = ()
) -> Heard:
    return hear_note(ctx, case, text, field_name=field_name, token=token, files=files)

"""What every ruling has in common, first instance or appeal: its words, what it rests on, what carrying it out means.

Reasons are said to both parties in the platform's name, so they pass the same gate as every word to a buyer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from service.domain.cleared_words import clear_free_text
from service.domain.errors import GuardFailed
from service.domain.outcome import Liability, losing_parties
from service.domain.policy import Policy
from service.domain.rulings import require_basis
from service.flows.context import Context
from service.flows.hearing import require_length
from service.store import people, tables
from service.store.disputes import CaseFile
from service.store.quotations import Quotation, verify_quotation

CITES_MAX: Final = 50  # choice: more than anybody reads
REASONS_CHARS_MIN: Final = 2  # choice: as a refusal of the merchant's


@dataclass(frozen=True, slots=True)
class Cite:
    """One thing a ruling or an appeal points at: exact words of a message, or a piece of evidence."""

    quotation: Quotation | None = None
    evidence_id: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A ruling as somebody wants to make it; the amount in the order's currency."""

    kind: str
    amount_fen: int
    currency: str
    liability: str
    basis: str
    reasons: str
    cites: tuple[Cite, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Reasoned:
    """A decision whose words are cleared and whose citations are verified."""

    kind: str
    amount_fen: int
    liability: str
    basis: str
    reasons: str
    cites: tuple[Mapping[str, object], ...]

    def payload(self) -> dict[str, object]:
        """As JSON, words included."""
        return {
            "kind": self.kind,
            "amount_fen": self.amount_fen,
            "liability": self.liability,
            "basis": self.basis,
            "reasons": self.reasons,
            "cites": [dict(cite) for cite in self.cites],
        }

    def shown(self) -> dict[str, object]:
        """As JSON, without words."""
        return {name: self.payload()[name] for name in ("kind", "amount_fen", "liability", "basis")}

    @classmethod
    def of_payload(cls, payload: Mapping[str, object]) -> Reasoned:
        """Read back what `payload` wrote."""
        cites = payload["cites"]
        assert isinstance(cites, list), "a payload lists its citations"
        return cls(
            kind=str(payload["kind"]),
            amount_fen=int(str(payload["amount_fen"])),
            liability=str(payload["liability"]),
            basis=str(payload["basis"]),
            reasons=str(payload["reasons"]),
            cites=tuple(cites),
        )


def reasoned(ctx: Context, case: CaseFile, decision: Decision) -> Reasoned:
    """Clear the words of a decision and verify what it cites.

    Raises:
        GuardFailed: `currency_mismatch`, `basis_unknown`, `text_length`, `quotation_unknown`, `quotation_mismatch`,
            `evidence_unknown`, `citations_too_many`, `conflict_of_interest`.
        Refusal: `uncleared_promise` with the words.
    """
    policy = ctx.policy_of(case.dispute)
    require_not_conflicted(ctx, case)
    if decision.currency != case.dispute.currency:
        raise GuardFailed(
            "currency_mismatch",
            zh="币种与订单不一致",
            en="Not the currency of the order",
            currency=decision.currency,
            order_currency=case.dispute.currency,
        )
    require_basis(decision.basis)
    Liability(decision.liability)
    return Reasoned(
        kind=decision.kind,
        amount_fen=decision.amount_fen,
        liability=decision.liability,
        basis=decision.basis,
        reasons=cleared_reasons(decision.reasons, policy),
        cites=verified_cites(ctx, case, decision.cites),
    )


def cleared_reasons(reasons: str, policy: Policy) -> str:
    """Reasons that may be said to a buyer in the platform's name.

    Raises:
        GuardFailed: `text_length`.
        Refusal: `uncleared_promise` with the words.
    """
    require_length(reasons, least=REASONS_CHARS_MIN, most=policy.note_chars_max, field_name="reasons")
    return clear_free_text(reasons).text


def verified_cites(ctx: Context, case: CaseFile, cites: Sequence[Cite]) -> tuple[Mapping[str, object], ...]:
    """What is cited, each once, found to be there: quotations word by word, evidence that was not retracted.

    Raises:
        GuardFailed: `quotation_unknown`, `quotation_mismatch`, `evidence_unknown`, `citations_too_many`.
    """
    if len(cites) > CITES_MAX:
        raise GuardFailed("citations_too_many", zh="引用过多", en="Too many citations", most=CITES_MAX)
    verified = []
    for cite in dict.fromkeys(cites):
        if cite.quotation is not None:
            verified.append(_quoted(ctx, case, cite.quotation))
        else:
            verified.append(_shown(case, cite.evidence_id or ""))
    return tuple(verified)


def _quoted(ctx: Context, case: CaseFile, quotation: Quotation) -> Mapping[str, object]:
    message = verify_quotation(ctx.tx.session, case.dispute.id, quotation, conversations=_readable(ctx))
    return {
        "message": message.id,
        "seq": message.seq,
        "conversation": message.conversation,
        "start": quotation.start,
        "end": quotation.end,
        "text": quotation.text,
    }


def _readable(ctx: Context) -> tuple[str, ...]:
    """The conversations whose messages the actor may read, and so quote."""
    if ctx.actor.side == "buyer":
        return ("dispute", "relay")
    return (
        ("dispute", "inquiry", "ticket") if ctx.actor.side == "merchant" else ("dispute", "inquiry", "ticket", "relay")
    )


def _shown(case: CaseFile, evidence_id: str) -> Mapping[str, object]:
    item = next((i for i in case.evidence_items if i.id == evidence_id and i.retracted_at is None), None)
    if item is None:
        raise GuardFailed("evidence_unknown", zh="引用的凭证不存在", en="No such evidence", evidence_id=evidence_id)
    return {"evidence": item.id, "seq": item.seq} | ({"sha256": item.sha256} if item.sha256 else {})


def require_not_conflicted(ctx: Context, case: CaseFile) -> None:
    """Nobody judges their own purchase (edge case 28).

    Raises:
        GuardFailed: `conflict_of_interest`.
    """
    if people.shops_as(ctx.tx.session, ctx.actor.subject, case.dispute.buyer_id):
        raise GuardFailed("conflict_of_interest", zh="与案件有利害关系", en="A conflict of interest")


# --- after the ruling -----------------------------------------------------------------------------------------------


def losers_of(case: CaseFile, ruling: tables.Ruling) -> tuple[str, ...]:
    """Who may accept or appeal this ruling."""
    return losing_parties(
        awarded_fen=ruling.amount_fen, claimed_fen=case.dispute.claimed_fen, liability=ruling.liability
    )


def accepted_by(ruling: tables.Ruling) -> frozenset[str]:
    """The losing parties that have accepted it."""
    return frozenset(ruling.accepted_by.split(",")) - {""}


def made_final(ctx: Context, ruling: tables.Ruling) -> None:
    """The ruling in force is carried out; nothing can change it any more."""
    ctx.plan.update(tables.Ruling, ruling.id, final=True)


def changes_of(case: CaseFile, kind: str) -> dict[str, object]:
    """What carrying out a ruling of this kind sets on the dispute: where the goods go back to, and why."""
    if kind != "refund_with_return":
        return {}
    address = case.dispute.return_address or case.merchant.return_address
    return {"return_origin": "ruling", "return_address": address}

"""The promise: found in the merchant's words, confirmed by an explicit act, relayed word for word, kept or broken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import Conflict
from service.domain.inquiry import delivers
from service.domain.lifecycle import Lifecycle, guard, row_of
from service.domain.policy import DEFAULT, Policy
from service.domain.windows import is_over


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseFacts:
    """What a promise looks at before it moves. `due_at` is when it must be kept; `lapses_at` when it is forgotten."""

    policy: Policy = DEFAULT
    now: datetime | None = None
    due_at: datetime | None = None
    lapses_at: datetime | None = None
    wording: str = "none"  # what the words are: only `unconditional` is a promise
    has_span: bool = False  # the words it was found in
    has_value: bool = False  # a normalised action, with its amount where it has one
    canonical_hash: str = ""
    hash_named: str = ""  # by the act of confirming or relaying
    confirmed_hash: str = ""  # in the confirmation entry
    may_commit: bool = False  # the owner, or a seat with `commit`
    amount_fen: int = 0
    commit_limit_fen: int | None = None  # of the seat; None has no limit
    only_time_or_amount: bool = False  # a correction changes nothing else
    measure: str = "none"
    confirmed_as_is: bool = False
    contradicts_order: bool = False  # D15: flagged against the order's facts
    override_reason: str = ""  # a supervisor's
    has_proof: bool = False
    left_intervention: bool = False
    case_closed: bool = False


@guard("wording_not_a_promise", "这句话不是无条件的承诺", "The words are no unconditional promise", "wording")
def require_unconditional(f: PromiseFacts) -> bool:
    """Hedged, conditional, quoted, negated or asked words are shown as what they are, never relayed as a promise."""
    return f.wording == "unconditional"


@guard("promise_incomplete", "承诺缺少原文、内容或时间", "Words, content or date are missing")
def require_complete(f: PromiseFacts) -> bool:
    """What, in which words, by when."""
    return f.has_span and f.has_value and f.due_at is not None


@guard("hash_mismatch", "确认的内容与当前承诺不一致", "Not the text that was shown", "hash_named")
def require_same_hash(f: PromiseFacts) -> bool:
    """A confirmation is of exactly the canonical text."""
    return f.canonical_hash != "" and f.hash_named == f.canonical_hash


@guard("promise_already_due", "承诺时间已过", "Its time has passed", "due_at")
def require_due_ahead(f: PromiseFacts) -> bool:
    """Nobody promises the past."""
    assert f.now is not None, "a confirmation happens at an instant"
    return f.due_at is not None and f.now < f.due_at


@guard("commit_not_permitted", "该客服无承诺权限", "The seat may not commit the shop")
def require_may_commit(f: PromiseFacts) -> bool:
    """The owner commits, and seats with the permission."""
    return f.may_commit


@guard("commit_limit_exceeded", "超出该客服的承诺限额", "Over the seat's limit", "amount_fen", "commit_limit_fen")
def require_within_commit_limit(f: PromiseFacts) -> bool:
    """A seat commits up to its limit."""
    return f.commit_limit_fen is None or f.amount_fen <= f.commit_limit_fen


@guard("correction_too_wide", "只能更正时间或金额", "Only time or amount may be corrected")
def require_only_time_or_amount(f: PromiseFacts) -> bool:
    """Another action is another promise."""
    return f.only_time_or_amount


@guard("not_delivered", "该更正未通过应答检测", "The correction was not let out", "measure")
def require_delivers(f: PromiseFacts) -> bool:
    """A correction is merchant text like any other."""
    return delivers(f.measure, f.confirmed_as_is)


@guard("confirmation_mismatch", "与确认时的内容不一致", "Not what was confirmed", "hash_named", "confirmed_hash")
def require_confirmed_hash(f: PromiseFacts) -> bool:
    """What is relayed is what was confirmed, to the character."""
    return f.canonical_hash != "" and f.hash_named == f.canonical_hash == f.confirmed_hash


@guard("contradicts_order", "承诺与订单事实矛盾,须主管说明理由", "The order says otherwise; a supervisor must explain")
def require_order_agrees(f: PromiseFacts) -> bool:
    """A promise against the order's facts needs a supervisor's reason (D15)."""
    return not f.contradicts_order or f.override_reason != ""


@guard("not_yet_lapsed", "承诺尚未失效", "Not lapsed yet", "lapses_at")
def require_lapsed(f: PromiseFacts) -> bool:
    """A day after extraction, or when the dispute left the platform's hands."""
    return f.left_intervention or f.case_closed or is_over(f.now, f.lapses_at, f.policy)


@guard("case_not_closed", "纠纷尚未结案", "The case is not closed")
def require_case_closed(f: PromiseFacts) -> bool:
    """A confirmed promise lapses only with its case."""
    return f.case_closed


@guard("proof_missing", "须有履约凭证", "Proof is needed")
def require_proof(f: PromiseFacts) -> bool:
    """Kept is shown by a carrier or payment event, or by the merchant's evidence."""
    return f.has_proof


@guard("promise_not_yet_due", "承诺时间未到", "Not due yet", "now", "due_at")
def require_due_passed(f: PromiseFacts) -> bool:
    """Broken no earlier than its due date plus the settle margin."""
    return is_over(f.now, f.due_at, f.policy)


_arrow = row_of(PromiseFacts)
_UNCONFIRMED = ("extracted", "confirmation_requested")
_CONFIRM = (
    require_unconditional,
    require_may_commit,
    require_within_commit_limit,
    require_same_hash,
    require_due_ahead,
)
_CORRECT = (require_may_commit, require_within_commit_limit, require_only_time_or_amount, require_delivers)

# fmt: off
PROMISE: Lifecycle[PromiseFacts] = Lifecycle(
    "promise",
    states=("extracted", "confirmation_requested", "confirmed", "relayed", "fulfilled", "breached", "declined",
            "superseded", "lapsed"),
    initial="extracted",
    final=("fulfilled", "breached", "declined", "superseded", "lapsed"),
    arrows=(
        _arrow("P1", "extracted", "ask_confirm", "platform_agent", "confirmation_requested",
               require=(require_unconditional, require_complete),
               effects="show canonical text to merchant", basis="source 002 III-IV"),
        _arrow("P2", _UNCONFIRMED, "merchant_confirm", "merchant", "confirmed", require=_CONFIRM,
               effects="explicit act, never silence",
               basis="source 002 FAQ 4; the act on the canonical text is our stricter choice"),
        _arrow("P3", _UNCONFIRMED, "merchant_correct", "merchant", "superseded", require=_CORRECT,
               effects="a new promise, confirmed by the same act on its own canonical hash"),
        _arrow("P4", _UNCONFIRMED, "merchant_decline", "merchant", "declined", basis="source 002"),
        _arrow("P5", "extracted", "superseded_by_newer", "system", "superseded"),
        _arrow("P6", "extracted", "promise_lapse_timeout", "system", "lapsed", require=(require_lapsed,)),
        _arrow("P7", "confirmation_requested", "superseded_by_newer", "system", "superseded"),
        _arrow("P8", "confirmation_requested", "promise_lapse_timeout", "system", "lapsed", require=(require_lapsed,),
               effects="silence is never consent", basis="source 002 FAQ 4"),
        _arrow("P9", "confirmed", "relay", "platform_agent", "relayed",
               require=(require_unconditional, require_confirmed_hash, require_order_agrees),
               effects="buyer message references promise id", basis="source 002 III step 3"),
        _arrow("P10", "confirmed", "superseded_by_newer", "system", "superseded"),
        _arrow("P11", "confirmed", "promise_lapse_timeout", "system", "lapsed", require=(require_case_closed,)),
        _arrow("P12", "relayed", "fulfil", "merchant carrier payment_gateway", "fulfilled", require=(require_proof,),
               basis="PDDP promise_status 3"),
        _arrow("P13", "relayed", "promise_due_timeout", "system", "breached", require=(require_due_passed,),
               effects="standing.event; tell agent", basis="PDDP promise_status 2; source 003"),
    ),
)
# fmt: on

STATE_LABELS = {
    "extracted": ("待商家确认", "Found, not confirmed"),
    "confirmation_requested": ("已请商家确认", "Confirmation asked"),
    "confirmed": ("商家已确认", "Confirmed"),
    "relayed": ("已转告买家", "Relayed to the buyer"),
    "fulfilled": ("已履行", "Kept"),
    "breached": ("未履行", "Broken"),
    "declined": ("商家已否认", "Declined"),
    "superseded": ("已被取代", "Superseded"),
    "lapsed": ("已失效", "Lapsed"),
}


def lapses_at(extracted_at: datetime, policy: Policy) -> datetime:
    """When a promise that nobody confirmed is forgotten."""
    return extracted_at + policy.promise_lapse


def require_confirmed(state: str) -> None:
    """Refuse to relay what the merchant has not confirmed, before any other rule is asked.

    Raises:
        Conflict: `promise_not_confirmed` with the present state.
    """
    if state not in ("confirmed", "relayed", "fulfilled", "breached"):
        raise Conflict(
            "promise_not_confirmed", zh="商家尚未确认该承诺", en="The merchant has not confirmed", state=state
        )

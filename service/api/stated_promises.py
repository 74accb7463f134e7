"""A promise that a merchant states in fields beside the words of a message, the same wherever the message goes."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from service.api.shapes import InstantIn, Money, sane_instant
from service.domain.attached_promise import Attached
from service.domain.cleared_words import RELAYED_ACTIONS

Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Action = Literal["ship", "refund", "partial_refund", "exchange", "resend", "compensate", "pickup", "reply_later"]
assert get_args(Action) == RELAYED_ACTIONS, "the edge names the acts that can be relayed"


class StatedPromise(msgspec.Struct, forbid_unknown_fields=True):
    """A promise in fields: sending the message confirms exactly the canonical text that they make.

    `canonical_sha256`: of the text that the seat was shown, which a dry run of the same call gives; another text is
    refused.
    """

    action: Action
    due_at: InstantIn
    amount: Money | None = None
    canonical_sha256: Sha256 | None = None


def attached_of(stated: StatedPromise) -> Attached:
    """The promise as the stories take it; its time is aware."""
    return Attached(
        action=stated.action,
        due_at=sane_instant(stated.due_at),
        amount_fen=None if stated.amount is None else stated.amount.amount,
        currency=None if stated.amount is None else stated.amount.currency,
        canonical_sha256=stated.canonical_sha256,
    )

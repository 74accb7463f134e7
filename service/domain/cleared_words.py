"""`ClearedWords`: the only thing the buyer's channel accepts, made here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from service.domain.canonical import amount_words, canonical, due_words
from service.domain.errors import Kind, Refusal
from service.domain.promise_net import Span, net

RELAYED_ACTIONS: Final = (
    "ship",
    "refund",
    "partial_refund",
    "exchange",
    "resend",
    "compensate",
    "pickup",
    "reply_later",
)
PROMISES_PER_RELAY_MAX: Final = 20  # choice: more than one message can say
_PLACE: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class ConfirmedPromise:
    """A promise as the store holds it, with what the merchant's confirmation named.

    `canonical_sha256` stands on the promise, `confirmation_sha256` is the hash named in the confirmation entry, both
    hex; `confirmation_entry_hash` is the hash of that transcript entry, which the relay entry carries. `wording` is
    what the merchant's words were; a correction by the merchant makes a promise of its own, unconditional.
    """

    id: str
    action: str
    amount_fen: int | None
    amount_max_fen: int | None
    due_at: datetime | None
    canonical_sha256: str
    confirmation_sha256: str
    confirmation_entry_hash: str
    state: str
    wording: str = "unconditional"


@dataclass(frozen=True, slots=True)
class RelayLanguage:
    """The pieces of a relay in one language; `actions` by action, with {when} and {amount}."""

    opening: str
    joint: str
    closing: str
    when: str
    amount: str
    actions: Mapping[str, str]

    def __post_init__(self) -> None:
        missing = [action for action in RELAYED_ACTIONS if action not in self.actions]
        places = {place for pattern in self.actions.values() for place in _PLACE.findall(pattern)}
        fits = _PLACE.findall(self.when) == ["due"] and _PLACE.findall(self.amount) == ["amount"]
        if missing or not fits or not places <= {"when", "amount"}:
            raise Refusal(
                "relay_templates_malformed",
                kind=Kind.MALFORMED,
                zh="转告模板不完整",
                en="The relay templates are incomplete",
                missing=missing,
                places=sorted(places),
            )


@dataclass(frozen=True, slots=True)
class RelayTemplates:
    """How a relay is worded, in zh and en; read from rules/templates/relay.toml."""

    zh: RelayLanguage
    en: RelayLanguage


@dataclass(frozen=True, slots=True)
class ClearedWords:
    """Words that may be said to a buyer in the platform's name.

    Made only by `clear_relay` and `clear_free_text`; a tidy test holds that. `en` is None for free text, which stands
    as its author wrote it. `confirmation_hashes` are those of the confirmation entries, one for each promise.
    """

    text: str
    en: str | None
    source: Literal["promises", "free_text"]
    promise_ids: tuple[str, ...] = ()
    confirmation_hashes: tuple[str, ...] = ()


def _cleared(
    text: str, en: str | None, source: Literal["promises", "free_text"], promises: Sequence[ConfirmedPromise]
) -> ClearedWords:
    """The one maker."""
    return ClearedWords(
        text=text,
        en=en,
        source=source,
        promise_ids=tuple(promise.id for promise in promises),
        confirmation_hashes=tuple(promise.confirmation_entry_hash for promise in promises),
    )


def clear_relay(promises: Sequence[ConfirmedPromise], templates: RelayTemplates) -> ClearedWords:
    """Render confirmed promises for the buyer, from their fields only.

    Raises:
        Refusal: `promise_not_confirmed` (conflict) for a promise in any other state, or hedged, conditional or
            without an action; `canonical_mismatch` (conflict) when the hash the merchant confirmed is not that of the
            fields; `nothing_to_relay`, `too_many_promises`.
    """
    if not promises:
        raise Refusal("nothing_to_relay", zh="没有要转告的承诺", en="There is no promise to relay")
    if len(promises) > PROMISES_PER_RELAY_MAX:
        raise Refusal(
            "too_many_promises",
            kind=Kind.TOO_LARGE,
            zh="一次转告的承诺过多",
            en="Too many promises in one relay",
            promises_max=PROMISES_PER_RELAY_MAX,
        )
    for promise in promises:
        require_relayable(promise)
    zh = _render(templates.zh, promises, language=0)
    en = _render(templates.en, promises, language=1)
    return _cleared(zh, en, "promises", promises)


def require_relayable(promise: ConfirmedPromise) -> None:
    """Refuse a promise that the merchant has not confirmed exactly as it stands."""
    confirmed = promise.state == "confirmed" and promise.wording == "unconditional"
    if not confirmed or promise.action not in RELAYED_ACTIONS or not promise.confirmation_entry_hash:
        raise Refusal(
            "promise_not_confirmed",
            kind=Kind.CONFLICT,
            zh="商家尚未确认该承诺,请先请商家确认",
            en="The merchant has not confirmed this promise; ask the merchant first",
            promise_id=promise.id,
            state=promise.state,
            wording=promise.wording,
        )
    made = canonical(promise.action, promise.amount_fen, promise.amount_max_fen, promise.due_at).sha256_hex
    if not made == promise.canonical_sha256 == promise.confirmation_sha256:
        raise Refusal(
            "canonical_mismatch",
            kind=Kind.CONFLICT,
            zh="商家确认的内容与该承诺不一致",
            en="What the merchant confirmed is not what this promise says",
            promise_id=promise.id,
            expected_sha256=made,
            canonical_sha256=promise.canonical_sha256,
            confirmation_sha256=promise.confirmation_sha256,
        )


def _render(words: RelayLanguage, promises: Sequence[ConfirmedPromise], *, language: int) -> str:
    said = [_one(words, promise, language) for promise in promises]
    return words.opening + words.joint.join(said) + words.closing


def _one(words: RelayLanguage, promise: ConfirmedPromise, language: int) -> str:
    due = due_words(promise.due_at)[language].removesuffix("前")
    amount = amount_words(promise.amount_fen, promise.amount_max_fen)[language]
    when = words.when.replace("{due}", due) if due else ""
    how_much = words.amount.replace("{amount}", amount) if amount else ""
    return words.actions[promise.action].replace("{when}", when).replace("{amount}", how_much)


def clear_free_text(text: str) -> ClearedWords:
    """Clear an agent's own words, if they carry no cue of a promise at all.

    Raises:
        Refusal: `uncleared_promise` (guard) with `words` [{start, end, text}], in the text as written, and what to do.
    """
    require_no_promise(text)
    return _cleared(text, None, "free_text", ())


def require_no_promise(text: str) -> None:
    """Refuse words that could be heard as a promise: the net of agent messages, reasons, summaries and phrases."""
    caught = net(text)
    if caught:
        raise Refusal(
            "uncleared_promise",
            zh="这段话含有承诺性内容。请先请商家确认,再引用已确认的承诺转告消费者;或删去所列词语",
            en=(
                "These words sound like a promise. Ask the merchant to confirm it and cite the confirmed promise, "
                "or leave the listed words out"
            ),
            words=[_named(span, text) for span in caught],
            remedies=["ask_merchant", "cite_promise", "leave_out"],
        )


def _named(span: Span, text: str) -> dict[str, object]:
    return {"start": span.start, "end": span.end, "text": text[span.start : span.end]}

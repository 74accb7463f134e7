"""`ClearedWords`: the only thing the buyer's channel accepts, made here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from service.domain.canonical import amount_words, canonical, due_words
from service.domain.errors import GuardFailed, Kind, Refusal
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
SOFTENED: Final = ("hedged", "conditional")  # what may be told to a buyer, as no promise
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


class Softened(NamedTuple):
    """Words of a merchant that are no promise, `wording` hedged or conditional: told as such or not at all."""

    id: str
    wording: str
    action: str


@dataclass(frozen=True, slots=True)
class RelayLanguage:
    """The pieces of a relay in one language; `actions` by action, with {when} and {amount}.

    `no_promise` by wording, with {act}, says of softened words that they are no promise; `acts` names the acts in it.
    """

    opening: str
    joint: str
    closing: str
    when: str
    amount: str
    actions: Mapping[str, str]
    no_promise: Mapping[str, str]
    between: str  # two sentences about softened words
    acts: Mapping[str, str]

    def __post_init__(self) -> None:
        missing = [action for action in RELAYED_ACTIONS if action not in self.actions or action not in self.acts]
        missing += [wording for wording in SOFTENED if wording not in self.no_promise]
        places = {place for pattern in self.actions.values() for place in _PLACE.findall(pattern)}
        fits = _PLACE.findall(self.when) == ["due"] and _PLACE.findall(self.amount) == ["amount"]
        fits = fits and all(_PLACE.findall(pattern) == ["act"] for pattern in self.no_promise.values())
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
    """How a relay is worded, in zh and en; read from rules/templates/relay.toml, whose bytes `sha256_hex` is of."""

    zh: RelayLanguage
    en: RelayLanguage
    version: int
    sha256_hex: str


@dataclass(frozen=True, slots=True)
class ClearedWords:
    """Words that may be said to a buyer in the platform's name.

    Made only by `clear_relay`, `clear_softened` and `clear_free_text`; a tidy test holds that. `en` is None for free
    text, which stands as its author wrote it. `confirmation_hashes` are those of the confirmation entries, one for each
    promise; `softened_ids` name the words of which `text` says that they are no promise.
    """

    text: str
    en: str | None
    source: Literal["promises", "softened", "free_text"]
    promise_ids: tuple[str, ...] = ()
    confirmation_hashes: tuple[str, ...] = ()
    softened_ids: tuple[str, ...] = ()


def clear_relay(promises: Sequence[ConfirmedPromise], templates: RelayTemplates) -> ClearedWords:
    """Render confirmed promises for the buyer, from their fields only.

    Raises:
        Refusal: `promise_not_confirmed` (conflict) for a promise in any other state, or hedged, conditional or
            without an action; `canonical_mismatch` (conflict) when the hash the merchant confirmed is not that of the
            fields; `nothing_to_relay`, `too_many_promises`.
    """
    _require_some(promises)
    for promise in promises:
        require_relayable(promise)
    zh = _render(templates.zh, promises, language=0)
    en = _render(templates.en, promises, language=1)
    return ClearedWords(
        text=zh,
        en=en,
        source="promises",
        promise_ids=tuple(promise.id for promise in promises),
        confirmation_hashes=tuple(promise.confirmation_entry_hash for promise in promises),
    )


def clear_softened(said: Sequence[Softened], templates: RelayTemplates) -> ClearedWords:
    """Say of softened or conditional words that they are no promise: the act alone, neither time nor sum nor words.

    Raises:
        Refusal: `not_softened` (guard) for words that are anything else; `nothing_to_relay`, `too_many_promises`.
    """
    _require_some(said)
    for each in said:
        if each.wording not in SOFTENED or each.action not in RELAYED_ACTIONS:
            raise GuardFailed(
                "not_softened",
                zh="只有含糊或附条件的说法可以这样转告",
                en="Only softened or conditional words are told as no promise",
                promise_id=each.id,
                wording=each.wording,
            )
    zh, en = (
        words.between.join(words.no_promise[e.wording].replace("{act}", words.acts[e.action]) for e in said)
        for words in (templates.zh, templates.en)
    )
    return ClearedWords(text=zh, en=en, source="softened", softened_ids=tuple(each.id for each in said))


def _require_some(asked: Sequence[object]) -> None:
    if not asked:
        raise Refusal("nothing_to_relay", zh="没有要转告的承诺", en="There is no promise to relay")
    if len(asked) > PROMISES_PER_RELAY_MAX:
        raise Refusal(
            "too_many_promises",
            kind=Kind.TOO_LARGE,
            zh="一次转告的承诺过多",
            en="Too many promises in one relay",
            promises_max=PROMISES_PER_RELAY_MAX,
        )


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
    return ClearedWords(text=text, en=None, source="free_text")


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

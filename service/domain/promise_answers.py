"""Statements made promises: each bears on its neighbours, and a yes, a time or a sum answers the question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Final

from service.domain.promise_amount import Sum
from service.domain.promise_question import Ask, action_of
from service.domain.promise_statement import Reading, Statement
from service.domain.promise_wording import TURNING

_LOOK_BACK_MAX: Final = 20  # choice: how many earlier promises of a text a new one is compared with
REFUNDS: Final = frozenset(("refund", "partial_refund"))
_GOODS_BACK: Final = frozenset(("refund", "partial_refund", "exchange", "resend", "compensate"))
_SENDING: Final = frozenset(("ship", "resend", "exchange"))


@dataclass(slots=True)
class Draft:
    """A promise while its neighbours may still change it."""

    wording: str
    action: str
    start: int
    end: int
    sentence: int
    due_at: datetime | None = None
    amount: Sum | None = None
    share: int | None = None
    full: bool = False
    partial: bool = False
    arrival: bool = False
    verb: str = ""
    from_question: bool = False


def _same(one: str, other: str) -> bool:
    return one == other or (one in REFUNDS and other in REFUNDS)


def _takes_back(earlier: Draft, refused: Draft) -> bool:
    """可以退货,但不能退款: a bare no behind a bare yes; a no to another time, sum or part takes nothing back."""
    stated = (earlier.due_at, earlier.amount, earlier.share, refused.due_at, refused.amount, refused.share)
    parts = earlier.partial or refused.partial or refused.full
    return not any(stated) and not parts and refused.sentence - earlier.sentence <= 1


class Resolver:
    """Walks the statements once, letting each bear on its neighbours, then answers the question with the rest."""

    def __init__(self, reading: Reading, asks: tuple[Ask, ...], said_at: datetime) -> None:
        self.reading = reading
        self.asks = list(asks)
        self.said_at = said_at
        self.found: list[Draft] = []
        self.pending: Statement | None = None  # a time or sum that stands before its action
        self.hedge_sentence = -1
        self.condition_sentence = -1
        self.sentence = 0
        self.correcting = False
        self.event_sentence = -1
        self.weighing = False  # the hedge of the sentence is only that somebody will look into it

    def drafts(self) -> list[Draft]:
        """The promises of the reading."""
        for index, statement in enumerate(self.reading.statements):
            if statement.sentence != self.sentence:
                self.sentence, self.pending, self.hedge_sentence = statement.sentence, None, -1
                self.condition_sentence = -1
            handler = getattr(self, f"_on_{statement.kind}", None)
            if handler is not None:
                handler(statement, index)
            if statement.doubting:
                self._doubt(statement)
        own = [draft for draft in self.found if draft.wording != "none"]
        if self.asks:
            self._complete(own)
        return own + self._answers(own)

    def _on_act(self, statement: Statement, index: int) -> None:
        if statement.demanded:
            self._adopt_demand(statement)
            return
        if statement.tone == "none":
            self.pending = None
            return
        draft = Draft(
            statement.tone, statement.action, statement.start, statement.end, statement.sentence, verb=statement.verb
        )
        _take_fields(draft, statement)
        draft.arrival = statement.arrival
        if self.pending is not None:
            self._take_pending(draft)
        if draft.wording == "conditional":
            self.condition_sentence = statement.sentence
        elif draft.wording == "unconditional":
            if self.condition_sentence == statement.sentence:
                draft.wording = "conditional"
            elif self.hedge_sentence == statement.sentence and not (self.weighing and draft.action == "reply_later"):
                draft.wording = "hedged"
        after_event = statement.event or self.event_sentence == statement.sentence
        if draft.wording == "conditional" and after_event and statement.deadline and statement.deadline.relative:
            draft.due_at = None
        self._add(draft, statement)

    def _take_pending(self, draft: Draft) -> None:
        pending = self.pending
        assert pending is not None, "asked only when a time or sum is pending"
        if draft.due_at is None and pending.deadline is not None:
            draft.due_at = pending.deadline.due_at
            draft.start = pending.start
            if pending.tone == "hedged" and draft.wording == "unconditional":
                draft.wording = "hedged"
        if draft.amount is None and pending.amount is not None and draft.action in (*REFUNDS, "compensate"):
            draft.amount = pending.amount
            draft.start = pending.start
        self.pending = None

    def _add(self, draft: Draft, statement: Statement) -> None:
        """Put a draft beside an earlier one on the same action, or into it."""
        for earlier in self.found[: -_LOOK_BACK_MAX - 1 : -1]:
            goes_out = draft.action == "ship" and earlier.action in ("resend", "exchange") and earlier.due_at is None
            if goes_out and draft.sentence - earlier.sentence <= 1 and draft.wording == earlier.wording:
                self._merge(earlier, draft)
                return
            if not _same(earlier.action, draft.action) or earlier.wording == "refused":
                continue
            if draft.wording == "refused":
                if _takes_back(earlier, draft):
                    self.found.remove(earlier)
                    break
                continue
            if statement.correcting or self.correcting:
                self.found.remove(earlier)
                self.correcting = False
                if draft.amount is None and draft.share is None:
                    draft.amount, draft.share = earlier.amount, earlier.share
                break
            if draft.arrival or self._repeats(earlier, draft):
                self._merge(earlier, draft)
                return
            if earlier.wording == "unconditional" and draft.wording in ("hedged", "conditional"):
                if earlier.due_at is None or earlier.sentence == draft.sentence:
                    earlier.wording = draft.wording
            elif statement.latest and earlier.wording == "unconditional" and earlier.sentence == draft.sentence:
                earlier.due_at, earlier.end = draft.due_at, draft.end
                return
            break
        self.found.append(draft)

    def _repeats(self, earlier: Draft, draft: Draft) -> bool:
        """Whether a draft only goes on about the earlier one: nothing in it contradicts."""
        if earlier.wording != draft.wording or (draft.action in _SENDING and earlier.due_at and draft.due_at):
            return False
        adds_due = draft.due_at is None or earlier.due_at is None
        adds_sum = draft.amount is None or earlier.amount is None
        return adds_due and adds_sum and draft.sentence - earlier.sentence <= 1

    def _merge(self, earlier: Draft, draft: Draft) -> None:
        if draft.arrival and draft.wording != "unconditional":
            return
        earlier.due_at = earlier.due_at or draft.due_at
        earlier.amount = earlier.amount or draft.amount
        earlier.share = earlier.share or draft.share
        earlier.full, earlier.partial = earlier.full or draft.full, earlier.partial or draft.partial
        earlier.end = max(earlier.end, draft.end)

    def _adopt_demand(self, statement: Statement) -> None:
        """客户要求退款50元: what is wanted, for a 我们同意 that may follow."""
        if any(_same(ask.action, statement.action) for ask in self.asks):
            return
        self.asks.append(
            Ask(
                action=action_of(statement.action, statement),
                due_at=statement.deadline.due_at if statement.deadline else None,
                amount=statement.amount,
                share=statement.share,
                full=statement.full,
                partial=statement.partial,
                concrete=True,
            )
        )

    def _on_bare(self, statement: Statement, index: int) -> None:
        """A time or a sum of its own: it belongs to the action before it, or to the one that follows."""
        last = self.found[-1] if self.found else None
        if statement.correcting:
            self.correcting = True
        if last is not None and (statement.correcting or self.correcting):
            self._correct(last, statement)
            return
        near = last is not None and last.sentence == statement.sentence and last.wording != "refused"
        if last is not None and near:
            takes_due = statement.deadline is not None and (last.due_at is None or statement.latest)
            takes_sum = (statement.amount or statement.share) and last.amount is None and last.action != "ship"
            if (takes_due and not self._act_follows(index, statement)) or takes_sum:
                self._give(last, statement)
                return
        self.pending = statement

    def _act_follows(self, index: int, statement: Statement) -> bool:
        after = self.reading.statements[index + 1 : index + 2]
        return bool(after) and after[0].kind == "act" and after[0].deadline is None and not statement.latest

    def _correct(self, last: Draft, statement: Statement) -> None:
        if statement.deadline is not None:
            last.due_at = statement.deadline.due_at
            self.correcting = False
        if statement.amount is not None:
            last.amount, last.share = statement.amount, None
            self.correcting = False
        last.end = statement.end
        if statement.tone == "hedged" and last.wording == "unconditional":
            last.wording = "hedged"

    def _give(self, draft: Draft, statement: Statement) -> None:
        if statement.deadline is not None:
            draft.due_at = statement.deadline.due_at
        if draft.action in (*REFUNDS, "compensate"):
            draft.amount = draft.amount or statement.amount
            draft.share = draft.share or statement.share
        draft.end = statement.end
        if statement.tone == "hedged" and draft.wording == "unconditional":
            draft.wording = "hedged"

    def _on_generic(self, statement: Statement, index: int) -> None:
        last = self.found[-1] if self.found else None
        if last is None or last.sentence != statement.sentence or last.due_at is not None:
            return
        if statement.deadline is not None:
            self._give(last, statement)
        elif statement.tone == "hedged" and last.wording == "unconditional":
            last.wording = "hedged"

    def _on_hedge(self, statement: Statement, index: int) -> None:
        last = self.found[-1] if self.found else None
        if last is not None and last.sentence == statement.sentence and last.wording == "unconditional":
            last.wording = "hedged"
        self.hedge_sentence, self.weighing = statement.sentence, False

    def _on_yes(self, statement: Statement, index: int) -> None:
        last = self.found[-1] if self.found else None
        if self.correcting and last is not None and statement.deadline is not None:
            self._correct(last, statement)
        elif statement.tone == "hedged":
            self.hedge_sentence, self.weighing = statement.sentence, False

    def _on_condition(self, statement: Statement, index: int) -> None:
        self.condition_sentence = statement.sentence
        if statement.event:
            self.event_sentence = statement.sentence
        acts_follow = False
        for later in islice(self.reading.statements, index + 1, index + 1 + _LOOK_BACK_MAX):
            acts_follow = later.sentence == statement.sentence and later.kind == "act" and later.tone != "none"
            if acts_follow or later.sentence != statement.sentence:
                break
        if statement.backward or not acts_follow:
            self._weaken_back(statement)

    def _weaken_back(self, statement: Statement) -> None:
        reach = statement.sentence - 1 if statement.backward else statement.sentence
        for draft in self._since(reach):
            if draft.wording in ("unconditional", "hedged"):
                draft.wording = "conditional"

    def _doubt(self, statement: Statement) -> None:
        self.weighing = statement.weighing and self.hedge_sentence != statement.sentence
        self.hedge_sentence = statement.sentence
        for draft in self._since(statement.sentence - 1):
            answers = statement.weighing and draft.action == "reply_later"
            if draft.wording == "unconditional" and not answers:
                draft.wording = "hedged"

    def _on_buyer(self, statement: Statement, index: int) -> None:
        self.event_sentence = statement.sentence
        self.condition_sentence = statement.sentence
        if statement.backward:
            for draft in self._since(statement.sentence):
                if draft.wording == "unconditional" and draft.action in _GOODS_BACK:
                    draft.wording = "conditional"

    def _on_proposal(self, statement: Statement, index: int) -> None:
        """退您20元,您看可以吗: an offer that waits for an answer."""
        for draft in self._since(statement.sentence - 1):
            draft.wording = "none"

    def _since(self, sentence: int) -> Iterator[Draft]:
        return takewhile(lambda draft: draft.sentence >= sentence, reversed(self.found))

    def _on_other(self, statement: Statement, index: int) -> None:
        if statement.correcting:
            self.correcting = True

    # --- the question -------------------------------------------------------------------------------------------

    def _complete(self, own: list[Draft]) -> None:
        """Take from the question what an own promise leaves open."""
        for draft in own:
            for ask in self.asks:
                if draft.action == "ship" and ask.action in ("resend", "exchange") and len(self.asks) == 1:
                    draft.action = ask.action
                if not _same(draft.action, ask.action) or draft.wording != "unconditional":
                    continue
                if draft.due_at is None and ask.concrete:
                    draft.due_at = ask.due_at
                if draft.amount is None and draft.share is None and not draft.full and ask.concrete:
                    draft.amount, draft.share = ask.amount, ask.share
                    draft.full, draft.partial = draft.full or ask.full, draft.partial or ask.partial

    def _answers(self, own: list[Draft]) -> list[Draft]:
        """What yes, no, a time or a sum say, with the content of the question."""
        if not self.asks:
            return []
        statements = self.reading.statements
        kinds = {statement.kind for statement in statements}
        if "asking" in kinds or "proposal" in kinds:
            return []
        if any(draft.wording != "refused" for draft in own):
            return []
        answers: list[Draft] = []
        for statement in statements:
            if statement.kind == "no":
                answers += [] if own else self._answer(statement, "refused")
            elif statement.kind == "yes" and self._grants(statement, kinds):
                answers += self._answer(statement, statement.tone)
            elif statement.kind == "hedge" and "yes" not in kinds and "deferring" not in kinds:
                answers += self._answer(statement, "hedged")
            elif statement.kind in ("bare", "generic") and not {"deferring"} & kinds:
                answers += self._bare_answer(statement, kinds)
        return self._toned(self._one_each(answers), kinds)

    def _grants(self, statement: Statement, kinds: set[str]) -> bool:
        """A strong yes, or a weak one that nothing takes back: 好的,收到 and 好的,我问问 promise nothing."""
        if "deferring" in kinds or ("no" in kinds and statement.deadline is None):
            return False
        others = (other for other in self.reading.statements if other.kind == "other")
        if any(TURNING.search(self.reading.text, other.start, other.end) for other in others):
            return False
        return statement.strong or not kinds & {"heard", "other", "buyer"}

    def _bare_answer(self, statement: Statement, kinds: set[str]) -> list[Draft]:
        if statement.deadline is None and statement.amount is None and statement.share is None:
            if statement.kind != "generic" or "yes" in kinds:
                return []
            return self._answer(statement, "hedged")
        return self._answer(statement, statement.tone, elliptic=True)

    def _answer(self, statement: Statement, wording: str, *, elliptic: bool = False) -> list[Draft]:
        asks = [ask for ask in self.asks if ask.concrete or elliptic]
        if elliptic and statement.amount is not None:
            asks = [ask for ask in asks if ask.action in (*REFUNDS, "compensate")]
        drafts = []
        for ask in asks:
            draft = Draft(wording, ask.action, statement.start, statement.end, statement.sentence, from_question=True)
            draft.due_at, draft.amount, draft.share = ask.due_at, ask.amount, ask.share
            draft.full, draft.partial = ask.full, ask.partial
            if statement.deadline is not None:
                draft.due_at = statement.deadline.due_at
            if statement.amount is not None or statement.share is not None:
                draft.amount, draft.share, draft.full = statement.amount, statement.share, False
            drafts.append(draft)
        return drafts

    def _one_each(self, answers: list[Draft]) -> list[Draft]:
        """One answer for each action and side: a later time or sum completes an earlier yes."""
        kept: list[Draft] = []
        for draft in answers:
            twin = next(
                (
                    k
                    for k in kept
                    if k.action == draft.action and (k.wording == "refused") == (draft.wording == "refused")
                ),
                None,
            )
            if twin is None:
                kept.append(draft)
                continue
            twin.due_at, twin.amount, twin.share = draft.due_at, draft.amount, draft.share
            twin.end = max(twin.end, draft.end)
            if "hedged" in (twin.wording, draft.wording):
                twin.wording = "hedged"
        return kept

    def _in_doubt(self) -> bool:
        return any(statement.doubting for statement in self.reading.statements)

    def _toned(self, answers: list[Draft], kinds: set[str]) -> list[Draft]:
        for draft in answers:
            if draft.wording == "refused":
                continue
            if kinds & {"condition", "buyer"}:
                draft.wording = "conditional"
            elif ("hedge" in kinds or self._in_doubt()) and draft.wording == "unconditional":
                draft.wording = "hedged"
        return answers


def _take_fields(draft: Draft, statement: Statement) -> None:
    draft.due_at = statement.deadline.due_at if statement.deadline else None
    draft.amount, draft.share = statement.amount, statement.share
    draft.full, draft.partial = statement.full, statement.partial

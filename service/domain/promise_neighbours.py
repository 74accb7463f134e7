"""Statements made promises: each bears on its neighbours, in its sentence and, where it stands alone, the next ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from typing import Final

from service.domain.promise_actions import PAYS
from service.domain.promise_draft import (
    REFUNDS,
    Draft,
    carries_on,
    completes,
    refines,
    repeats,
    same,
    take_fields,
    takes_back,
)
from service.domain.promise_question import Ask, action_of
from service.domain.promise_scope import ADDING, BEYOND, GOODS_SENT, PAUSE, VOUCHER, supplies
from service.domain.promise_statement import Reading, Statement

_LOOK_BACK_MAX: Final = 20  # choice: how many earlier promises of a text a new one is compared with
_CLAUSE_GAP_MAX: Final = 8  # choice: characters between the two verbs of one clause
_WAVED_CHARS_MAX: Final = 4  # choice: 算了算了
_GOODS_BACK: Final = frozenset(("refund", "partial_refund", "exchange", "resend", "compensate"))
_DOING: Final = frozenset(("act", "bare", "generic", "yes"))


class Neighbours:
    """Walks the statements once, letting each bear on its neighbours."""

    def __init__(self, reading: Reading, asks: tuple[Ask, ...]) -> None:
        self.reading = reading
        self.asks = list(asks)
        self.found: list[Draft] = []
        self.pending: Statement | None = None  # a time or sum that stands before its action
        self.hedge_sentence = -1
        self.condition_sentence = -1
        self.sentence = 0
        self.correcting = False
        self.event_sentence = -1
        self.acting = {each.sentence for each in reading.statements if each.kind in _DOING and each.tone != "none"}
        self.followed = False  # the condition of the sentence has its own consequence: 有问题,随时联系我们
        self.told = False  # a refund was told as a fact
        self.weighing = False  # the hedge of the sentence is only that somebody will look into it

    def drafts(self) -> list[Draft]:
        """What the statements promise, soften or refuse themselves, before the question is looked at."""
        for index, statement in enumerate(self.reading.statements):
            if statement.sentence != self.sentence:
                self._next_sentence(statement.sentence)
            handler = _HANDLERS.get(statement.kind)
            if handler is not None:
                handler(self, statement, index)
            if statement.doubting and not self._resigns(statement):
                self._doubt(statement)
            elif statement.strange:
                self.hedge_sentence, self.weighing = statement.sentence, False
                self._soften(statement.sentence - (statement.sentence not in self.acting))
        if self.correcting:  # 等等,看错单了: what was said does not stand, and nothing came in its place
            self._soften(self.sentence - 2)
        return [draft for draft in self.found if draft.wording != "none"]

    def _resigns(self, statement: Statement) -> bool:
        """算了,退她二十五: what is waved aside before anything was promised is one's own objection."""
        return statement.correcting and not self.found and statement.end - statement.start <= _WAVED_CHARS_MAX

    def _next_sentence(self, sentence: int) -> None:
        """A doubt or a condition that stands alone in its sentence bears on the next one, too."""
        bears = self.sentence not in self.acting and sentence == self.sentence + 1
        hedged = bears and self.hedge_sentence == self.sentence
        tied = bears and self.condition_sentence == self.sentence and not self.followed
        self.hedge_sentence = sentence if hedged else -1
        self.condition_sentence = sentence if tied else -1
        if sentence != self.sentence + 1 or self.pending is None or not self._alone(self.pending):
            self.pending = None  # 明天。发货: a time that is all of a sentence waits for the next one
        self.sentence, self.followed = sentence, False

    def _alone(self, statement: Statement) -> bool:
        """Whether a time or a sum is all that its sentence says."""
        beside = (each for each in self.reading.statements if each.sentence == statement.sentence)
        return all(each.kind in ("bare", "filler") for each in beside)

    def _on_act(self, statement: Statement, index: int) -> None:
        if statement.demanded:
            self._adopt_demand(statement)
            return
        if statement.untimed and self._timed_beside(index):
            statement.tone = "unconditional"
        if statement.tone == "none" or (statement.carried and not self._asks_for("pickup")):
            self.pending = None
            self.told = self.told or (not statement.demanded and statement.action in REFUNDS)
            return
        if statement.arrival and self.told and not any(same(draft.action, "refund") for draft in self.found):
            return  # 已退,3天内到账
        draft = Draft(statement.tone, statement.action, statement.start, statement.end, statement.sentence)
        take_fields(draft, statement)
        draft.arrival = statement.arrival
        draft.some, draft.unknown = statement.some, statement.unknown
        if self.pending is not None:
            self._take_pending(draft)
        if statement.verb.startswith(PAYS) and self._paid_by(draft):
            return
        if draft.action == "ship" and self._sends_voucher(draft, statement):
            return
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
        if draft.wording != "refused":
            self.correcting = False  # said anew

    def _timed_beside(self, index: int) -> bool:
        """重发一件,这周五前; 今天5点前,我回复您: the time that an act lacks is all that the clause beside it says."""
        before, after = self.pending, self.reading.statements[index + 1 : index + 2]
        beside = [each for each in (before, *after) if each is not None and (each.kind == "bare" or each.firm)]
        sentence = self.reading.statements[index].sentence
        return any(each.deadline and each.tone == "unconditional" and each.sentence == sentence for each in beside)

    def _paid_by(self, draft: Draft) -> bool:
        """同意补偿,明天打款: how the money of an earlier promise is paid; true if it was put into that one."""
        last = self.found[-1] if self.found else None
        if last is not None and last.action == "compensate" and draft.wording == last.wording:
            self._merge(last, draft)
            return True
        if last is None and self._asks_for("compensate") and not self._asks_for("refund"):
            draft.action = "compensate"
        return False

    def _sends_voucher(self, draft: Draft, statement: Statement) -> bool:
        """补您10元红包,今天发: what is sent is the red packet; true if that was put into the promise of it."""
        said = self.reading.text[statement.start : statement.end]
        if GOODS_SENT.search(said):
            return False
        last = self.found[-1] if self.found else None
        beside = last is not None and last.action == "compensate" and draft.sentence - last.sentence <= 1
        if (
            last is not None
            and beside
            and last.due_at is None
            and VOUCHER.search(self.reading.text, last.start, statement.end)
        ):
            if draft.wording == last.wording:
                self._merge(last, draft)
                return True
        elif VOUCHER.search(said):
            draft.action = "compensate"
        return False

    def _asks_for(self, action: str) -> bool:
        return any(ask.action == action for ask in self.asks)

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
            if draft.action == "ship" and earlier.action in ("resend", "exchange"):
                if self._sends(earlier, draft, statement):
                    return
                if (
                    earlier.due_at is None
                    and draft.sentence - earlier.sentence <= 1
                    and draft.wording == earlier.wording
                ):
                    self._merge(earlier, draft)
                    return
                if carries_on(earlier, draft, self.reading.text[statement.start : statement.end]):
                    earlier.due_at, earlier.end = draft.due_at, draft.end
                    return
            if not same(earlier.action, draft.action) or earlier.wording == "refused":
                continue
            if draft.wording == "refused":
                draft.more = BEYOND.search(self.reading.text, statement.start, statement.end) is not None
                draft.revoking = self.correcting
                if takes_back(earlier, draft):
                    self.found.remove(earlier)
                    break
                continue
            if statement.correcting or self.correcting:
                self.found.remove(earlier)
                self.correcting = False
                if draft.amount is None and draft.share is None:
                    draft.amount, draft.share = earlier.amount, earlier.share
                break
            if completes(earlier, draft):
                self._merge(draft, earlier)
                draft.start = earlier.start
                self.found.remove(earlier)
                break
            if draft.arrival or repeats(earlier, draft):
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

    def _sends(self, earlier: Draft, draft: Draft, statement: Statement) -> bool:
        """换货应该后天能寄, 补发没货发不了: one clause on one act, as good as its weaker half; true if put into it."""
        between = self.reading.text[earlier.end : statement.start]
        if earlier.wording == "refused" or PAUSE.search(between) or len(between) > _CLAUSE_GAP_MAX:
            return False
        if draft.wording == "refused" or earlier.wording == "unconditional":
            earlier.wording = draft.wording
        earlier.due_at = earlier.due_at or draft.due_at
        earlier.end = max(earlier.end, draft.end)
        return True

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
        if any(same(ask.action, statement.action) for ask in self.asks):
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
        if (
            last is None
            and statement.deadline is not None
            and supplies(self.reading.text, statement.start, statement.end)
        ):
            statement.action, statement.verb = "resend", "补"
            self._on_act(statement, index)
            return
        if last is not None and (statement.correcting or self.correcting):
            self._correct(last, statement)
            return
        near = last is not None and last.wording != "refused" and self._reaches(last, statement)
        if last is not None and near:
            takes_due = statement.deadline is not None and (
                last.due_at is None or statement.latest or refines(last.due_at, statement.deadline.due_at)
            )
            takes_sum = (statement.amount or statement.share) and last.amount is None and last.action != "ship"
            if (takes_due and not self._act_follows(index, statement)) or takes_sum:
                self._give(last, statement)
                return
        self.pending = statement

    def _reaches(self, last: Draft, statement: Statement) -> bool:
        """发货。明天: in its sentence, or where the time is all of the next one and the action had none."""
        if last.sentence == statement.sentence:
            return True
        return last.due_at is None and last.sentence + 1 == statement.sentence and self._alone(statement)

    def _act_follows(self, index: int, statement: Statement) -> bool:
        after = self.reading.statements[index + 1 : index + 2]
        if not after or ADDING.match(self.reading.text, after[0].start):  # 今天补寄,八点前,另外退10块
            return False
        return after[0].kind == "act" and after[0].deadline is None and not statement.latest

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
        if last is None or last.due_at is not None:
            return
        if last.sentence != statement.sentence and not (statement.firm and last.sentence + 1 == statement.sentence):
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
        if statement.sentence not in self.acting:
            self._soften(statement.sentence - 1)

    def _soften(self, sentence: int) -> None:
        for draft in self._since(sentence):
            if draft.wording == "unconditional":
                draft.wording = "hedged"

    def _on_yes(self, statement: Statement, index: int) -> None:
        last = self.found[-1] if self.found else None
        if self.correcting and last is not None and statement.deadline is not None:
            self._correct(last, statement)
        elif statement.tone == "hedged":
            self.hedge_sentence, self.weighing = statement.sentence, False
            self._soften(statement.sentence - 1)  # 今天发货,八成能行
        elif (
            last is not None
            and statement.deadline is not None
            and last.due_at is None
            and self._reaches(last, statement)
        ):
            self._give(last, statement)  # 赔50元,明天给

    def _on_condition(self, statement: Statement, index: int) -> None:
        self.condition_sentence = statement.sentence
        if statement.event:
            self.event_sentence = statement.sentence
        acts_follow = False
        for later in islice(self.reading.statements, index + 1, index + 1 + _LOOK_BACK_MAX):
            acts_follow = later.sentence == statement.sentence and later.kind == "act" and later.tone != "none"
            if acts_follow or later.sentence != statement.sentence:
                break
        alone = not acts_follow and statement.sentence not in self.acting and not self._leads_on(statement, index)
        self.followed = not alone
        if statement.backward or not acts_follow:
            self._weaken_back(statement, alone=alone)

    def _leads_on(self, statement: Statement, index: int) -> bool:
        """Whether something else of the sentence follows from a condition."""
        later = islice(self.reading.statements, index + 1, index + 1 + _LOOK_BACK_MAX)
        return any(each.sentence == statement.sentence and each.kind not in ("filler", "heard") for each in later)

    def _weaken_back(self, statement: Statement, *, alone: bool) -> None:
        reach = statement.sentence - 1 if statement.backward or alone else statement.sentence
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
        if statement.backward or statement.strange:
            for draft in self._since(statement.sentence):
                if draft.wording == "unconditional" and (statement.strange or draft.action in _GOODS_BACK):
                    draft.wording = "conditional"

    def _on_proposal(self, statement: Statement, index: int) -> None:
        """退您20元,您看可以吗: an offer that waits for an answer."""
        for draft in self._since(statement.sentence - 1):
            draft.wording = "none"

    def _since(self, sentence: int) -> Iterator[Draft]:
        return takewhile(lambda draft: draft.sentence >= sentence, reversed(self.found))

    def _on_no(self, statement: Statement, index: int) -> None:
        """让我今天退款,办不到: a short no of its own beside a promise takes the firmness out of it."""
        if statement.deadline is None and statement.end - statement.start <= _CLAUSE_GAP_MAX:
            self._soften(statement.sentence - (statement.sentence not in self.acting))

    def _on_other(self, statement: Statement, index: int) -> None:
        if statement.correcting:
            self.correcting = True


_HANDLERS: Final[dict[str, Callable[[Neighbours, Statement, int], None]]] = {
    "act": Neighbours._on_act,
    "bare": Neighbours._on_bare,
    "buyer": Neighbours._on_buyer,
    "condition": Neighbours._on_condition,
    "generic": Neighbours._on_generic,
    "hedge": Neighbours._on_hedge,
    "no": Neighbours._on_no,
    "other": Neighbours._on_other,
    "proposal": Neighbours._on_proposal,
    "yes": Neighbours._on_yes,
}

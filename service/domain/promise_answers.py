"""What a yes, a time or a sum says, with the content of the question it answers."""

from __future__ import annotations

import re
from typing import Final

from service.domain.promise_draft import REFUNDS, Draft, same
from service.domain.promise_neighbours import Neighbours
from service.domain.promise_question import Ask
from service.domain.promise_scope import FREED, MOCKING, TURNING
from service.domain.promise_statement import Reading, Statement


def drafts_of(reading: Reading, asks: tuple[Ask, ...]) -> list[Draft]:
    """The promises of a reading: its own, completed from the question, and what answers the question."""
    walked = Neighbours(reading, asks)
    own = walked.drafts()
    if walked.asks:
        answers = Answers(reading, walked.asks)
        answers.complete(own)
        own += answers.drafts(own)
    if reading.cues.whole & MOCKING.bit:
        for draft in own:
            draft.wording = "hedged" if draft.wording == "unconditional" else draft.wording
    return [_open(draft) for draft in own]


def _open(draft: Draft) -> Draft:
    """退一部分吧: a part without its sum is none yet."""
    if draft.some and draft.amount is None and draft.share is None and draft.wording == "unconditional":
        draft.wording = "hedged"
    return draft


_AGREEING: Final = re.compile(r"[嗯哦是对没确]")  # 是的 to 今天发不了是吗


class Answers:
    """Reads the statements against what was asked, and what was demanded beside it."""

    def __init__(self, reading: Reading, asks: list[Ask]) -> None:
        self.reading = reading
        self.asks = asks

    def complete(self, own: list[Draft]) -> None:
        """Take from the question what an own promise leaves open."""
        for draft in own:
            for ask in self.asks:
                if draft.action == "ship" and ask.action in ("resend", "exchange") and len(self.asks) == 1:
                    draft.action = ask.action
                bare = draft.amount is None and draft.share is None
                if draft.action == "compensate" and ask.action == "resend" and len(self.asks) == 1 and bare:
                    draft.action = ask.action  # 给他补: the piece that was missing
                if not same(draft.action, ask.action) or draft.wording != "unconditional":
                    continue
                if ask.tied and not FREED.search(self.reading.text):
                    draft.wording = "conditional"
                if draft.due_at is None and ask.concrete:
                    draft.due_at = ask.due_at
                if draft.amount is None and draft.share is None and not draft.full and ask.concrete:
                    draft.amount, draft.share = ask.amount, ask.share
                    draft.full, draft.partial = draft.full or ask.full, draft.partial or ask.partial

    def drafts(self, own: list[Draft]) -> list[Draft]:
        """What yes, no, a time or a sum say, with the content of the question."""
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
        if "deferring" in kinds or ("no" in kinds and statement.deadline is None and statement.amount is None):
            return False
        if any(each.foreign and each.action != "none" for each in self.reading.statements):
            return False
        others = (other for other in self.reading.statements if other.kind == "other")
        if any(TURNING.search(self.reading.text, other.start, other.end) for other in others):
            return False
        return statement.strong or not kinds & {"heard", "other", "buyer"}

    def _bare_answer(self, statement: Statement, kinds: set[str]) -> list[Draft]:
        if statement.naming:
            return []
        if statement.deadline is None and statement.amount is None and statement.share is None:
            if statement.kind != "generic" or kinds & {"yes", "bare"}:
                return []
            return self._answer(statement, "hedged")
        return self._answer(statement, statement.tone, elliptic=True)

    def _answer(self, statement: Statement, wording: str, *, elliptic: bool = False) -> list[Draft]:
        asks = [ask for ask in self.asks if ask.concrete or elliptic]
        if elliptic and statement.amount is not None:
            asks = [ask for ask in asks if ask.action in (*REFUNDS, "compensate")]
        drafts = []
        for ask in asks:
            draft = Draft(wording, ask.action, statement.start, statement.end, statement.sentence)
            draft.from_question = True
            draft.due_at, draft.amount, draft.share = ask.due_at, ask.amount, ask.share
            draft.full, draft.partial = ask.full, ask.partial
            if ask.tied and wording == "unconditional" and not FREED.search(self.reading.text):
                draft.wording = "conditional"
            if statement.deadline is not None:
                draft.due_at = statement.deadline.due_at
            if statement.amount is not None or statement.share is not None:
                draft.amount, draft.share, draft.full = statement.amount, statement.share, False
            if ask.denied and not elliptic:
                draft.wording = "refused" if _AGREEING.match(self.reading.text, statement.start) else "hedged"
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
        return any(statement.doubting or statement.strange for statement in self.reading.statements)

    def _toned(self, answers: list[Draft], kinds: set[str]) -> list[Draft]:
        for draft in answers:
            if draft.wording == "refused":
                continue
            if kinds & {"condition", "buyer"}:
                draft.wording = "conditional"
            elif ("hedge" in kinds or self._in_doubt()) and draft.wording == "unconditional":
                draft.wording = "hedged"
        return answers

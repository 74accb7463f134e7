"""The rule book in force in this process: one reference, swapped whole; requests under way keep the book they have."""

from __future__ import annotations

import gc
from pathlib import Path

from service.domain.uncollected import uncollected
from service.store import rule_child, rule_versions
from service.store.book_parts import Built, let_go
from service.store.engine import Transaction
from service.store.rule_versions import InForce
from service.store.rulepacks import RuleBook


class RulesInForce:
    """Give it to `House.rules`: calling it gives the book in force now.

    Args:
        folder_book: the book of the rules folder, version zero: in force until something was published.
    """

    def __init__(self, folder_book: RuleBook, folder: Path) -> None:
        self.folder = folder
        self.folder_book = folder_book
        self._whole = folder_book  # as published, no rule fallen back
        self._book = folder_book
        self._parts: list[object] = []  # of a book that was built elsewhere
        self._retired: list[list[object]] = []
        self.state = InForce(0, None, None, frozenset())

    def __call__(self) -> RuleBook:
        """The book in force."""
        return self._book

    @property
    def acting(self) -> frozenset[str]:
        """The rules that act now."""
        return frozenset(rule.id for rule in self._book.rules if rule.acts)

    def differs(self, tx: Transaction) -> bool:
        """Whether anything was done to the rules since this process last looked: one descent of an index."""
        return rule_versions.last_act(tx) != self.state.last_act

    def follow(self, told: InForce, files: dict[str, str] | None) -> bool:
        """Bring into force what the database says; returns whether the version changed.

        Args:
            files: of that version, where it is neither the folder's book nor the one in force.

        Raises:
            BadPack: the files are not as they must be; what is in force stays.
            ChildFailed: the build ended without an answer; what is in force stays.
        """
        whole, parts = self._whole, self._parts
        if told.sha256 is None:
            whole, parts = self.folder_book, []
        elif files is not None:
            whole, parts = self._built(files)
        changed = whole is not self._whole
        self._book = whole.with_watched(told.tripped)
        if changed and self._parts:
            self._retired.append(self._parts)
        self._whole, self._parts, self.state = whole, parts, told
        return changed

    def has(self, told: InForce) -> bool:
        """Whether the version it names is here already, compiled."""
        return told.sha256 is None or told.sha256 == self._whole.sha256

    def let_go(self) -> None:
        """Free the books that were in force before, once whoever still judged by them has had time to end."""
        while self._retired:
            let_go(self._retired.pop())

    def _built(self, files: dict[str, str]) -> Built:
        """Built elsewhere; the collector stays away while it is read, and never walks it."""
        with uncollected():
            built = rule_child.build(files, self.folder, like=self.folder_book)
            gc.freeze()
        return built

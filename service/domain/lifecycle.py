"""A lifecycle is one tuple of arrows: code, tests and diagrams all read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from transitions import Machine

from service.domain.errors import ArrowMissing, GuardFailed

Facts = TypeVar("Facts")
When = Callable[[Facts], bool]  # chooses between arrows of the same state and trigger
Require = Callable[[Facts], None]  # says no by raising a refusal with a code


@dataclass(frozen=True, slots=True)
class Arrow(Generic[Facts]):
    """One row of a table in docs/lifecycle.md.

    `target` None stays in the state it came from. `when` predicates choose among arrows that share a state and a
    trigger; `require` guards refuse. `actors` are sides (`Actor.side`), `system` for clocks and carriers.
    """

    number: str
    sources: tuple[str, ...]
    trigger: str
    actors: tuple[str, ...]
    target: str | None
    when: tuple[When[Facts], ...] = ()
    require: tuple[Require[Facts], ...] = ()
    effects: tuple[str, ...] = ()
    basis: str = "choice"


class Lifecycle(Generic[Facts]):
    """The table of one noun, held by a `transitions` machine and answered from a look-up.

    Only the machine's table is used, never its callbacks: a failed condition there returns False without a reason.
    """

    def __init__(
        self, name: str, *, states: Sequence[str], initial: str, final: Iterable[str], arrows: Sequence[Arrow[Facts]]
    ) -> None:
        self.name = name
        self.states = tuple(states)
        self.initial = initial
        self.final = frozenset(final)
        self.arrows = tuple(arrows)
        self.machine = Machine(
            model=None,
            states=list(states),
            initial=initial,
            auto_transitions=False,
            send_event=False,
            transitions=[
                {"trigger": a.trigger, "source": source, "dest": a.target or source}
                for a in self.arrows
                for source in a.sources
            ],
        )
        by: dict[tuple[str, str], list[Arrow[Facts]]] = {}
        for arrow in self.arrows:
            for source in arrow.sources:
                by.setdefault((source, arrow.trigger), []).append(arrow)
        self._by: Mapping[tuple[str, str], tuple[Arrow[Facts], ...]] = {k: tuple(v) for k, v in by.items()}
        self._triggers: Mapping[str, tuple[str, ...]] = {
            state: tuple(dict.fromkeys(self.machine.get_triggers(state))) for state in self.states
        }

    def triggers_from(self, state: str) -> tuple[str, ...]:
        """Every trigger that some arrow out of `state` answers to, guards not asked."""
        return self._triggers[state]

    def arrows_from(self, state: str, trigger: str) -> tuple[Arrow[Facts], ...]:
        """The arrows of this state and trigger, in the order of the table; empty if there is none."""
        return self._by.get((state, trigger), ())

    def advance(self, state: str, trigger: str, facts: Facts) -> Arrow[Facts]:
        """Choose the arrow that `trigger` takes from `state`; nothing changes by asking.

        Raises:
            ArrowMissing: no arrow of that trigger leaves the state.
            GuardFailed: arrows exist but none fits the facts, or a guard refuses (the guard's own code).
        """
        arrows = self.arrows_from(state, trigger)
        if not arrows:
            raise ArrowMissing(
                lifecycle=self.name, state=state, trigger=trigger, allowed=list(self.triggers_from(state))
            )
        for arrow in arrows:
            if all(fits(facts) for fits in arrow.when):
                for refuse_unless in arrow.require:
                    refuse_unless(facts)
                return arrow
        names = sorted({fits.__name__ for arrow in arrows for fits in arrow.when})
        code = names[0] if len(names) == 1 else "no_arrow_fits"
        raise GuardFailed(code, lifecycle=self.name, state=state, unmet=names)

    def target(self, state: str, arrow: Arrow[Facts]) -> str:
        """Where the arrow leads from `state`."""
        return arrow.target or state

"""A lifecycle is one tuple of arrows: code, tests and diagrams all read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from transitions import Machine

from service.domain.duration import duration_text, instant_text
from service.domain.errors import ArrowMissing, Forbidden, GuardFailed, Refusal

Facts = TypeVar("Facts")
When = Callable[[Facts], bool]  # chooses between arrows of the same state and trigger
Require = Callable[[Facts], None]  # says no by raising a refusal with a code

# Whom a side may stand in for: a supervisor does all an agent does; the marketplace's systems carry the news of the
# carrier and of the payment gateway.
_STANDS_FOR: Mapping[str, frozenset[str]] = {
    "supervisor": frozenset({"supervisor", "platform_agent"}),
    "system": frozenset({"system", "carrier", "payment_gateway"}),
}


class Guard(Generic[Facts]):
    """A named rule that refuses with its own stable code and shows the facts it looked at."""

    def __init__(
        self, holds: Callable[[Facts], bool], *, code: str, zh: str, en: str, shows: tuple[str, ...] = ()
    ) -> None:
        self.__name__ = holds.__name__
        self.__doc__ = holds.__doc__
        self.holds = holds
        self.code = code
        self.zh = zh
        self.en = en
        self.shows = shows

    def __call__(self, facts: Facts) -> None:
        """Pass in silence, or raise GuardFailed with the guard's code."""
        if not self.holds(facts):
            shown: dict[str, Any] = {name: _plain(getattr(facts, name)) for name in self.shows}
            raise GuardFailed(self.code, zh=self.zh, en=self.en, **shown)


def guard(code: str, zh: str, en: str, *shows: str) -> Callable[[Callable[[Facts], bool]], Guard[Facts]]:
    """Turn a yes-or-no rule into a guard: `code` is the refusal, `shows` the names of facts that explain it."""

    def named(holds: Callable[[Facts], bool]) -> Guard[Facts]:
        return Guard(holds, code=code, zh=zh, en=en, shows=shows)

    return named


def _plain(fact: object) -> object:
    if isinstance(fact, datetime):
        return instant_text(fact)
    if isinstance(fact, timedelta):
        return duration_text(fact)
    return fact


@dataclass(frozen=True, slots=True)
class Arrow(Generic[Facts]):
    """One row of a table in docs/lifecycle.md.

    `target` None stays in the state it came from. `when` predicates choose among arrows that share a state and a
    trigger; `require` guards refuse. `actors` are sides (`Actor.side`), `system` for clocks, `carrier` and
    `payment_gateway` for the marketplace's systems.
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

    def may_be_taken_by(self, side: str) -> bool:
        """Whether an actor of `side` is among the arrow's actors, in person or standing in."""
        return not _STANDS_FOR.get(side, frozenset({side})).isdisjoint(self.actors)


class Row(Protocol[Facts]):
    """How a table writes one arrow: effects apart by `;`, actors and sources as words."""

    def __call__(
        self,
        number: str,
        sources: str | Sequence[str],
        trigger: str,
        actors: str,
        target: str | None,
        *,
        when: tuple[When[Facts], ...] = (),
        require: tuple[Require[Facts], ...] = (),
        effects: str = "",
        basis: str = "choice",
    ) -> Arrow[Facts]: ...


def row_of(facts: type[Facts]) -> Row[Facts]:
    """A short hand for the arrows of one noun, so that a table reads as a table."""

    def row(
        number: str,
        sources: str | Sequence[str],
        trigger: str,
        actors: str,
        target: str | None,
        *,
        when: tuple[When[Facts], ...] = (),
        require: tuple[Require[Facts], ...] = (),
        effects: str = "",
        basis: str = "choice",
    ) -> Arrow[Facts]:
        return Arrow(
            number=number,
            sources=tuple(sources.split()) if isinstance(sources, str) else tuple(sources),
            trigger=trigger,
            actors=tuple(actors.split()),
            target=target,
            when=when,
            require=require,
            effects=tuple(each.strip() for each in effects.split(";") if each.strip()),
            basis=basis,
        )

    return row


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

    @property
    def triggers(self) -> tuple[str, ...]:
        """Every trigger of the table, in its order."""
        return tuple(dict.fromkeys(arrow.trigger for arrow in self.arrows))

    def triggers_from(self, state: str, side: str | None = None) -> tuple[str, ...]:
        """Every trigger that some arrow out of `state` answers to (and `side` may pull), guards not asked."""
        return tuple(
            trigger
            for trigger in self._triggers[state]
            if side is None or any(arrow.may_be_taken_by(side) for arrow in self.arrows_from(state, trigger))
        )

    def arrows_from(self, state: str, trigger: str) -> tuple[Arrow[Facts], ...]:
        """The arrows of this state and trigger, in the order of the table; empty if there is none."""
        return self._by.get((state, trigger), ())

    def advance(self, state: str, trigger: str, facts: Facts, *, side: str | None = None) -> Arrow[Facts]:
        """Choose the arrow that `trigger` takes from `state`; nothing changes by asking.

        Raises:
            ArrowMissing: no arrow of that trigger leaves the state.
            Forbidden: `not_your_action`, no such arrow is open to `side` (asked only where a side is given).
            GuardFailed: arrows exist but none fits the facts, or a guard refuses (the guard's own code).
            WindowClosed: a guard found the window over.
        """
        arrows = self.arrows_from(state, trigger)
        if not arrows:
            raise ArrowMissing(
                lifecycle=self.name, state=state, trigger=trigger, allowed=list(self.triggers_from(state))
            )
        if side is not None:
            arrows = tuple(arrow for arrow in arrows if arrow.may_be_taken_by(side))
            if not arrows:
                raise Forbidden(
                    "not_your_action", zh="此操作不属于您", en="Not an action of yours", trigger=trigger, side=side
                )
        for arrow in arrows:
            if all(fits(facts) for fits in arrow.when):
                for refuse_unless in arrow.require:
                    refuse_unless(facts)
                return arrow
        names = sorted({fits.__name__ for arrow in arrows for fits in arrow.when})
        code = names[0] if len(names) == 1 else "no_arrow_fits"
        raise GuardFailed(code, lifecycle=self.name, state=state, unmet=names)

    def why_not(self, state: str, trigger: str, facts: Facts, *, side: str | None = None) -> Refusal | None:
        """The refusal that `advance` would raise, or None where it would not; for `available_actions`."""
        try:
            self.advance(state, trigger, facts, side=side)
        except Refusal as refusal:
            return refusal
        return None

    def target(self, state: str, arrow: Arrow[Facts]) -> str:
        """Where the arrow leads from `state`."""
        return arrow.target or state

    def is_final(self, state: str) -> bool:
        """Whether the state ends the noun."""
        return state in self.final

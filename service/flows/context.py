"""What every story is handed: who acts, when, the rules and policies in force, and the plan it fills.

A story is a plain function `story(ctx, …) -> answer`. It reads through `ctx.tx`, asks the domain, fills `ctx.plan` and
returns; the runner at the edge (`api/perform.py`) applies the plan. A story never writes by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from service.domain.policy import DEFAULT, DEMO, Policy
from service.domain.policy import from_json as policy_from_json
from service.domain.staff import Actor, Role
from service.domain.transcript import Entry, disclosure, entry
from service.store import people, tables
from service.store.engine import Transaction
from service.store.picture_reading import PictureReader
from service.store.rule_tally import Tally
from service.store.writes import Head, Plan

if TYPE_CHECKING:
    from service.store.files import FileStore
    from service.store.relay_templates import RelayTemplates
    from service.store.rulepacks import RuleBook


class StoredAnswer(NamedTuple):
    """What an idempotency key was answered before."""

    fingerprint: str
    status: int  # 0: a refusal that was recorded
    body: str


class AnsweredBefore(Exception):
    """Raised by a story whose own read found the stored answer of its key."""

    def __init__(self, stored: StoredAnswer) -> None:
        super().__init__()
        self.stored = stored


THE_CLOCK = Actor(Role.SYSTEM, "clock")  # the actor of everything that a timer does


class Policies:
    """Published policies by name and version; a published version never changes, so it is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Policy] = {(p.policy_id, p.version): p for p in (DEFAULT, DEMO)}

    def get(self, tx: Transaction, policy_id: str, version: int) -> Policy:
        """The policy that a dispute was pinned to when it opened."""
        known = self._known.get((policy_id, version))
        if known is None:
            body = people.policy_body(tx.session, policy_id, version)
            assert body is not None, "a dispute is pinned to a published policy"
            known = self._known[policy_id, version] = policy_from_json(body)
        return known

    def in_force(self, tx: Transaction, policy_id: str) -> Policy:
        """The newest published version, for disputes that open now."""
        newest = people.newest_policy_version(tx.session, policy_id)
        builtin = {p.policy_id: p for p in (DEFAULT, DEMO)}
        return self.get(tx, policy_id, newest) if newest is not None else builtin.get(policy_id, DEFAULT)


@dataclass(frozen=True, slots=True)
class House:
    """What outlives a story: rules, policies, files, ids and salts. `app.py` wires it once."""

    rules: Callable[[], RuleBook]  # the book in force now; publishing swaps the reference
    policies: Policies
    templates: RelayTemplates
    files: FileStore
    new_id: Callable[[], str]
    new_salt: Callable[[], bytes]
    demo: bool = False
    tally: Tally = field(default_factory=Tally)  # what rules stopped, until it is written
    pictures: PictureReader = field(default_factory=PictureReader)

    def context(
        self, tx: Transaction, *, actor: Actor, now: datetime, received_at: datetime, cause: str | None = None
    ) -> Context:
        """A fresh context with an empty plan."""
        return Context(house=self, tx=tx, actor=actor, now=now, received_at=received_at, cause=cause)


@dataclass(slots=True)
class Context:
    """One story's world. `received_at` is when the request was complete, `now` when it is worked on."""

    house: House
    tx: Transaction
    actor: Actor
    now: datetime
    received_at: datetime
    cause: str | None = None  # the idempotency key, written into the entries
    plan: Plan = field(default_factory=Plan)

    def new_id(self) -> str:
        """A new UUIDv7."""
        return self.house.new_id()

    def policy_of(self, dispute: tables.Dispute) -> Policy:
        """The policy the dispute is pinned to, as it applies to its type."""
        return self.policy(dispute.policy_id, dispute.policy_version).for_dispute(dispute.type)

    def policy(self, policy_id: str, version: int) -> Policy:
        """A published policy by name and version."""
        return self.house.policies.get(self.tx, policy_id, version)

    def follow(self, dispute: tables.Dispute) -> None:
        """Let the plan continue this dispute's transcript and guard its version."""
        self.plan.head = Head(dispute.id, dispute.version, dispute.last_seq, dispute.last_hash, dispute.last_event_seq)

    def record(
        self,
        kind: str,
        *,
        facts: Mapping[str, object] | None = None,
        rules: Mapping[str, object] | None = None,
        private: Mapping[str, object] | None = None,
        actor: Actor | None = None,
    ) -> Entry:
        """Append an entry to the transcript of the plan's dispute.

        Args:
            facts: ids, states, hashes, instants; never free text.
            private: free text and personal values; each becomes a disclosure, None values are left out.
        """
        head = self.plan.head
        assert head is not None, "follow a dispute before recording"
        kept = {name: value for name, value in (private or {}).items() if value is not None}
        disclosures = [disclosure(salt=self.house.new_salt(), name=n, value=v) for n, v in kept.items()]
        made = entry(
            case=head.dispute_id,
            seq=head.seq + 1,
            prev=head.hash,
            at=self.now,
            kind=kind,
            actor=actor_facts(actor or self.actor),
            cause=self.cause,
            rules=rules,
            facts=facts,
            disclosures=disclosures,
        )
        self.plan.append(made, disclosures)
        return made

    def announce(self, event_type: str, **payload: object) -> None:
        """Queue an event behind this transaction; thin: ids, states and instants, no chat text."""
        self.plan.announce(event_type, at=self.now, payload=payload)

    def ask_gateway(self, job: str, **payload: object) -> None:
        """Queue a job for the payment gateway behind this transaction; no gateway call happens inside one."""
        self.plan.announce(job, at=self.now, topic="refund", payload=payload)


def actor_facts(actor: Actor) -> dict[str, str]:
    """How an entry names who acted: side, party, and the seat of a merchant."""
    named = {"t": actor.side, "ref": actor.merchant_id or actor.subject}
    return named | {"sub": actor.seat_id} if actor.seat_id else named

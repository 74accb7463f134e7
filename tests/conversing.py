"""Buyer and merchant converse in tests: what they post, and what each of them reads."""

from __future__ import annotations

import hashlib
from typing import Any

from service.domain.errors import Refusal
from service.domain.staff import Actor
from service.flows.exchange_messages import Line, Said, Sent, list_messages, post_message
from service.flows.heard import Outcome
from service.flows.upload_file import keep_upload
from service.store.files import StoredFile
from tests.world import World

POLITE = "您好,请问衣服哪里不满意呢"

BOASTS = "我们这是全国最好的面料"  # suggest_edit in a conversation with a buyer

ABUSES = "你这个骗子,滚"  # reject_with_notice, and the buyer goes to a human


def post(world: World, actor: Actor, dispute_id: str, **said: Any) -> Outcome | Sent | Refusal:
    whole = Said(**{"client_message_id": f"c-{next(world.numbers)}"} | said)
    return world.tell(actor, lambda ctx: post_message(ctx, dispute_id, whole))


def outcome(world: World, actor: Actor, dispute_id: str, **said: Any) -> Outcome:
    answer = post(world, actor, dispute_id, **said)
    assert isinstance(answer, Outcome)
    return answer


def read(world: World, actor: Actor, dispute_id: str) -> list[Line]:
    return world.tell(actor, lambda ctx: list_messages(ctx, dispute_id, after_seq=0, limit=200))


def texts(world: World, actor: Actor, dispute_id: str) -> list[str | None]:
    return [line.text for line in read(world, actor, dispute_id)]


def upload(world: World, actor: Actor, dispute_id: str, content: bytes, media_type: str) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    stored = StoredFile(sha256, len(content), media_type)
    world.tell(actor, lambda ctx: keep_upload(ctx, dispute_id, "message", stored))
    return sha256

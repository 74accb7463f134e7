"""What schemathesis needs to walk the service: somebody who may ask, and orders that can be disputed.

schemathesis.toml names this module. The credentials are the embedded demo's own; where there is no demo issuer, give
one token as ST_TOKEN, and it is used for everything.
"""

from __future__ import annotations

import itertools
import os
from functools import lru_cache
from typing import Any, Final

import requests
import schemathesis
from schemathesis import AuthContext, Case, HookContext

from service.api.issuer import DEMO_USERS

LINES: Final = 40  # one active dispute a line: enough for a run to open many
USER_OF_ROLE: Final = {who.role.value: user for user, who in reversed(DEMO_USERS.items())}  # the first of each
numbers = itertools.count()


@schemathesis.auth(refresh_interval=None)
class WhoMayAsk:
    """A token of the first role that the document names for the operation."""

    def get(self, case: Case, context: AuthContext) -> str | None:
        """The token; None where anybody may ask."""
        asked = case.operation.definition.raw.get("security")
        if not asked:
            return None
        role = asked[0]["BearerToken"][0]
        return os.environ.get("ST_TOKEN") or token(str(case.operation.base_url), USER_OF_ROLE[role])

    def set(self, case: Case, data: str | None, context: AuthContext) -> None:
        """Say who asks."""
        if data is not None:
            case.headers["Authorization"] = f"Bearer {data}"


@lru_cache
def token(base_url: str, user: str) -> str:
    """A demo user's token; the marketplace brings orders along when it first appears."""
    given = requests.post(f"{base_url}/v1/demo/tokens", json={"user": user}, timeout=60)
    return str(given.json()["access_token"])


@lru_cache
def lines(base_url: str) -> list[str]:
    """Order lines of the demo's buyer in the demo's shop, pushed as the marketplace pushes them."""
    names = [f"st-{os.getpid()}-{number}" for number in range(LINES)]
    for name in names:
        order = {
            "id": f"order-{name}",
            "merchant_id": "demo-shop-1",
            "buyer_id": "demo-buyer-1",
            "updated_at": "2026-01-01T00:00:00Z",
            "lines": [
                {
                    "id": name,
                    "title": "棉麻衬衫",
                    "quantity": 1,
                    "paid": {"amount": 12_900},
                    "refundable": {"amount": 12_900},
                }
            ],
        }
        answer = requests.post(
            f"{base_url}/v1/orders",
            json=order,
            headers={
                "Authorization": f"Bearer {token(base_url, 'marketplace')}",
                "Idempotency-Key": f"order-{name}",
            },
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
    return names


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """A well-formed request about orders is about those of the demo's buyer, so that a walk gets somewhere."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    match case.operation.definition.raw.get("operationId"):
        case "pushOrder":
            case.body |= {"merchant_id": "demo-shop-1", "buyer_id": "demo-buyer-1"}
        case "openDispute":
            known = lines(str(case.operation.base_url))
            number = next(numbers)
            case.body |= {
                "order_line_id": known[number % len(known)],
                "reason": "not_as_described",
                "amount": {"amount": 1 + number % 12_900, "currency": "CNY"},
            }

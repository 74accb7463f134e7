"""Pictures over HTTP in tests: one that leads off the platform, one that does not, and how they are uploaded."""

from __future__ import annotations

from httpx import Response

from tests.one_of_each import EXAMPLES
from tests.over_http import HttpWorld, done
from tests.pictures import WECHAT, code, file_of, photo

GUILTY = file_of(photo(code(WECHAT)))
INNOCENT = file_of(photo(code("6901234567892", "EAN13", scale=2)))


def upload(
    world: HttpWorld, user: str, dispute: str, content: bytes, media_type: str = "image/png", purpose: str = "message"
) -> Response:
    """One upload as the edge answers it."""
    return world.client.post(
        f"/v1/disputes/{dispute}/files",
        params={"purpose": purpose},
        content=content,
        headers=world.as_(user, Content_Type=media_type),
    )


def kept(world: HttpWorld, user: str, dispute: str, content: bytes, media_type: str = "image/png") -> str:
    """An upload that is taken; its fingerprint."""
    return str(done(upload(world, user, dispute, content, media_type), 201)["sha256"])


def at_the_platform(world: HttpWorld) -> str:
    """A dispute in which the agent is at work."""
    dispute = world.open_one()
    done(world.act("owner", dispute, "seller-refuse", EXAMPLES["refuseRequest"]), 200)
    done(world.act("buyer", dispute, "request-intervention", EXAMPLES["requestIntervention"]), 200)
    done(world.act("agent", dispute, "accept-dispute"), 200)
    return dispute

"""A text is judged for a preview or another system: the same rules, nothing kept, nobody counted."""

from __future__ import annotations

from service.domain.moderation import Channel, ModeratedReply, moderated
from service.domain.moderation import Context as Circumstances
from service.flows.context import Context
from service.store import people

PLATFORM_DEFAULT = "taobao"  # as a shop's own default


def check_words(
    ctx: Context, text: str, *, channel: Channel, platform: str | None, question: str | None, facts: frozenset[str]
) -> ModeratedReply:
    """What the rules in force say of a text, earlier offences left aside.

    Args:
        platform: the profile to judge by; a merchant is always judged by its own shop's.
    """
    shop = people.merchant(ctx.tx.session, ctx.actor.merchant_id) if ctx.actor.merchant_id else None
    profile = shop.platform if shop is not None else platform or PLATFORM_DEFAULT
    rules = ctx.house.rules().for_platform(profile)
    return moderated(text, rules, Circumstances(channel=channel, platform=profile, question=question, facts=facts))

"""The embedded demo's own marketplace: two small shops with their people, loudly not real."""

from __future__ import annotations

from typing import Final

from service.flows.context import Context
from service.store import people, tables

SHOPS: Final = {
    "demo-shop-1": ("云边小店(演示)", "taobao", "demo-owner-1", ("demo-seat-1", "demo-seat-2")),
    "demo-shop-2": ("山脚杂货(演示)", "douyin", "demo-owner-2", ()),
}
SEAT_LIMIT_FEN: Final = 20_000  # 200 yuan: what a demo seat may promise


def lay_out_demo(ctx: Context) -> int:
    """Add the demo shops that are not there yet; returns how many were added."""
    missing = [shop for shop in SHOPS if people.merchant(ctx.tx.session, shop) is None]
    for shop in missing:
        name, platform, owner, seats = SHOPS[shop]
        ctx.plan.insert(
            tables.Merchant,
            id=shop,
            name=name,
            platform=platform,
            is_demo=True,
            policy_id="demo",
            return_address="浙江省杭州市余杭区演示路 1 号",
            created_at=ctx.now,
        )
        ctx.plan.insert(
            tables.Seat, id=owner, merchant_id=shop, nickname="掌柜", is_owner=True, may_im=True, designated=True
        )
        for number, seat in enumerate(seats, start=1):
            ctx.plan.insert(
                tables.Seat,
                id=seat,
                merchant_id=shop,
                nickname=f"小二{number}",
                may_im=True,
                may_after_sale=True,
                may_commit=True,
                commit_limit_fen=SEAT_LIMIT_FEN,
                designated=False,
            )
    return len(missing)

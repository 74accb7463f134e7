"""What a message may carry: a file that its own side has uploaded to the dispute, or an order of these two parties."""

from __future__ import annotations

from service.domain.errors import GuardFailed
from service.domain.messages import FILE_TYPES, require_attachment_fits
from service.flows.context import Context
from service.store import people, tables
from service.store.uploads import upload_of


def require_attached(ctx: Context, dispute: tables.Dispute, *, kind: str, attachment: str | None) -> None:
    """Refuse an attachment that its kind does not have, or that is not this side's to show.

    Raises:
        GuardFailed: `attachment_missing`, `attachment_unwanted`, `order_card_unknown`, `attachment_unknown`,
            `attachment_of_other_type`.
    """
    require_attachment_fits(kind, has_attachment=attachment is not None)
    if attachment is None:
        return
    if kind == "order_card":
        order = people.order(ctx.tx.session, attachment)
        if order is None or (order.buyer_id, order.merchant_id) != (dispute.buyer_id, dispute.merchant_id):
            raise GuardFailed(
                "order_card_unknown", zh="订单不存在", en="No such order of these two", order_id=attachment
            )
        return
    media_type = require_own_file(ctx, dispute.id, attachment).media_type
    if not media_type.startswith(FILE_TYPES[kind]):
        raise GuardFailed(
            "attachment_of_other_type",
            zh="附件类型与消息不符",
            en="The file is of another type",
            message_kind=kind,
            media_type=media_type,
        )


def require_own_file(ctx: Context, dispute_id: str, sha256: str) -> tables.Upload:
    """The file that this side has uploaded to this dispute.

    Raises:
        GuardFailed: `attachment_unknown`.
    """
    file = upload_of(ctx.tx.session, dispute_id, party=ctx.actor.side, sha256=sha256)
    if file is None:
        raise GuardFailed("attachment_unknown", zh="附件不存在,请先上传", en="Upload it first", sha256=sha256)
    return file

"""Files that a side has put into the file store for a dispute: only what it uploaded itself may it put forward."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from service.domain.picture_codes import Code
from service.store.tables import Upload


def upload_of(session: Session, dispute_id: str, *, party: str, sha256: str) -> Upload | None:
    """What is known of a file that this side uploaded to this dispute."""
    return session.exec(
        select(Upload).where(Upload.dispute_id == dispute_id, Upload.party == party, Upload.sha256 == sha256)
    ).first()


def codes_of(session: Session, dispute_id: str, *, party: str, files: Sequence[str]) -> tuple[Code, ...]:
    """The codes that were found in files of this side, as they were uploaded; of none that nobody looked into."""
    found = session.exec(
        select(Upload.codes)
        .where(Upload.dispute_id == dispute_id, Upload.party == party, col(Upload.sha256).in_(files))
        .order_by(col(Upload.sha256))
    )
    return tuple(Code(each["kind"], each["text"]) for codes in found if codes for each in codes)


def any_looked_into(session: Session, dispute_id: str, *, party: str, files: Sequence[str]) -> bool:
    """Whether one of these files is a picture in which codes were looked for, found or not."""
    wanted = (Upload.dispute_id == dispute_id, Upload.party == party, col(Upload.sha256).in_(files))
    return session.exec(select(Upload.id).where(*wanted, col(Upload.codes).is_not(None)).limit(1)).first() is not None


def count_uploads(session: Session, dispute_id: str) -> int:
    """How many files a dispute has."""
    return session.exec(select(func.count()).select_from(Upload).where(Upload.dispute_id == dispute_id)).one()

"""Files that a side has put into the file store for a dispute: only what it uploaded itself may it put forward."""

from __future__ import annotations

from sqlalchemy import func
from sqlmodel import Session, select

from service.store.tables import Upload


def upload_of(session: Session, dispute_id: str, *, party: str, sha256: str) -> Upload | None:
    """What is known of a file that this side uploaded to this dispute."""
    return session.exec(
        select(Upload).where(Upload.dispute_id == dispute_id, Upload.party == party, Upload.sha256 == sha256)
    ).first()


def count_uploads(session: Session, dispute_id: str) -> int:
    """How many files a dispute has."""
    return session.exec(select(func.count()).select_from(Upload).where(Upload.dispute_id == dispute_id)).one()

"""Kept frames in the database, and taking them away: their rows go at once, their bytes when that is committed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.tables import RequestFrameRow

LARGEST_ID = 10**18  # what a BIGINT holds for certain


def list_frames(session: Session, rig_id: str, limit: int, after: int | None) -> tuple[Sequence[RequestFrameRow], bool]:
    """A page of a rig's frames, the newest first, and whether there are more."""
    query = select(RequestFrameRow).where(RequestFrameRow.rig_id == rig_id).order_by(RequestFrameRow.id.desc())
    if after is not None:
        query = query.where(RequestFrameRow.id < after)
    rows = session.scalars(query.limit(limit + 1)).all()
    return rows[:limit], len(rows) > limit


def get_frame(session: Session, rig_id: str, number: int) -> RequestFrameRow:
    """A kept frame of this rig; raises NotFound, also where it was there and is no longer kept."""
    row = session.get(RequestFrameRow, number) if 0 <= number < LARGEST_ID else None
    if row is None or row.rig_id != rig_id:
        raise NotFound(
            f"There is no kept frame {number} of this rig, or it is kept no longer.",
            at="path.number",
            code="request_frame_not_found",
        )
    return row


def trim(session: Session, rig_id: str, kept: int, before: datetime | None = None) -> list[str]:
    """Take away all but the newest ``kept`` frames of a rig, and those from ``before``; answers their digests.

    Their bytes are for ``keeping.let_go``, once this is committed.
    """
    own = RequestFrameRow.rig_id == rig_id
    surplus = select(RequestFrameRow.id).where(own).order_by(RequestFrameRow.id.desc()).offset(kept)
    gone = _remove(session, RequestFrameRow.id.in_(session.scalars(surplus).all()))
    return gone if before is None else gone + _remove(session, own & (RequestFrameRow.created_at < before))


def _remove(session: Session, which: ColumnElement[bool]) -> list[str]:
    digests = list(session.scalars(select(RequestFrameRow.source_sha256).where(which)))
    if digests:
        session.execute(delete(RequestFrameRow).where(which).execution_options(synchronize_session=False))
    return digests

"""Captures in the database."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.pagination import PageRequest, fetch_page
from app.tables import CaptureRow


def get_capture(session: Session, capture_id: str) -> CaptureRow:
    """The capture; raises NotFound."""
    row = session.get(CaptureRow, capture_id) if capture_id.isprintable() else None
    if row is None:
        raise capture_not_found(capture_id)
    return row


def capture_not_found(capture_id: str) -> NotFound:
    """The error for a capture that is not there, or not to be seen."""
    return NotFound(f"There is no capture {capture_id!r}.", at="path.capture_id", code="capture_not_found")


def list_captures(session: Session, rig_id: str, page: PageRequest) -> tuple[Sequence[CaptureRow], str | None]:
    """A page of a rig's captures, newest first."""
    return fetch_page(session, select(CaptureRow).where(CaptureRow.rig_id == rig_id), page, table=CaptureRow)

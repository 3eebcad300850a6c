"""Keys, their use and the audit trail in the database."""

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.pagination import PageRequest, encode_cursor, fetch_page, not_ours
from app.tables import ApiKeyRow, AuditRow, CaptureRow, KeyUsageRow, RequestFrameRow, RigRow

DAYS_SHOWN = 30


def get_key(session: Session, key_id: str) -> ApiKeyRow:
    """The key; raises NotFound."""
    row = session.get(ApiKeyRow, key_id) if key_id.isprintable() else None
    if row is None:
        raise NotFound(f"There is no key {key_id!r}.", at="path.key_id", code="key_not_found")
    return row


def list_keys(session: Session, page: PageRequest) -> tuple[Sequence[ApiKeyRow], str | None]:
    """A page of keys, newest first."""
    return fetch_page(session, select(ApiKeyRow), page, table=ApiKeyRow)


def usage_of(session: Session, key_id: str, today: date) -> Sequence[KeyUsageRow]:
    """What a key used on each of the last days, the newest first."""
    query = select(KeyUsageRow).where(
        KeyUsageRow.key_id == key_id, KeyUsageRow.day > today - timedelta(days=DAYS_SHOWN)
    )
    return session.scalars(query.order_by(KeyUsageRow.day.desc())).all()


def stored_bytes(session: Session, studio: str) -> int:
    """The bytes that the captures of a studio take, and the frames of requests that it keeps."""
    captures = select(func.coalesce(func.sum(CaptureRow.size_bytes), 0)).where(
        CaptureRow.studio == studio, CaptureRow.purged_at.is_(None)
    )
    frames = select(func.coalesce(func.sum(RequestFrameRow.size_bytes), 0)).where(
        RequestFrameRow.rig_id.in_(select(RigRow.id).where(RigRow.studio == studio))
    )
    return int(session.scalars(captures).one()) + int(session.scalars(frames).one())


def list_audit(
    session: Session, page: PageRequest, *, subject: str | None, action: str | None
) -> tuple[Sequence[AuditRow], str | None]:
    """A page of the trail, the newest first, of one subject or action where they are given."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(page.limit + 1)
    if page.after is not None:
        _, number = page.after
        if not number.isdecimal() or len(number) > 18:  # what a BIGINT holds for certain
            raise not_ours()
        query = query.where(AuditRow.id < int(number))
    if subject is not None:
        query = query.where(AuditRow.subject == subject)
    if action is not None:
        query = query.where(AuditRow.action == action)
    rows = session.scalars(query).all()
    if len(rows) <= page.limit:
        return rows, None
    last = rows[page.limit - 1]
    return rows[: page.limit], encode_cursor(last.at, str(last.id))

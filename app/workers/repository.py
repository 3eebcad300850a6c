"""Workers in the database, seen and judged by the database's clock: those of the machines may differ and jump."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.tables import WorkerRow, utc_now

FORGOTTEN_AFTER = timedelta(days=1)
"""A worker that has not been seen for so long is removed."""


def clock(session: Session) -> datetime:
    """The time by which workers are seen: PostgreSQL's; of SQLite, which is on one machine, that machine's."""
    if session.get_bind().dialect.name != "postgresql":
        return utc_now()
    now: datetime = session.execute(select(func.now())).scalar_one()
    return now


def is_alive(row: WorkerRow, silence_s: float, now: datetime) -> bool:
    """Whether a worker has not said goodbye, and was seen within ``silence_s``."""
    return row.stopped_at is None and now - row.seen_at <= timedelta(seconds=silence_s)


def list_workers(session: Session) -> Sequence[WorkerRow]:
    """All workers that are not forgotten, those that started last first."""
    return session.scalars(select(WorkerRow).order_by(WorkerRow.started_at.desc(), WorkerRow.id)).all()


def alive(session: Session, silence_s: float) -> list[WorkerRow]:
    """The workers that live."""
    now = clock(session)
    return [row for row in list_workers(session) if is_alive(row, silence_s, now)]


def report(session: Session, row: WorkerRow) -> None:
    """Write a worker's report over its last one."""
    row.seen_at = clock(session)
    session.merge(row)


def stopped(session: Session, worker_id: str) -> None:
    """Note that a worker lives no more."""
    gone = update(WorkerRow).where(WorkerRow.id == worker_id, WorkerRow.stopped_at.is_(None))
    session.execute(gone.values(stopped_at=clock(session), adaptation_id=None))


def forget_old(session: Session) -> None:
    """Remove workers that have not been seen for a day."""
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < clock(session) - FORGOTTEN_AFTER))

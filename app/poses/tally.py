"""How each rig is served of late: counted in memory, written every few seconds, never in a request's way."""

import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.tables import RigRow, RigServingRow, utc_now

MEMORY = 64
"""Over about so many requests the reprojection error is averaged, the later ones counting more."""
_KEEP = 1 - 1 / MEMORY


@dataclass(frozen=True)
class Agreement:
    """How well the views of a request agreed: the median reprojection error, and how many views a joint had."""

    reprojection_px: float
    views_used: float


@dataclass(frozen=True)
class Count:
    """What came for one rig since it was last written; the agreement is the mean of ``measured`` requests."""

    checkpoint_id: str | None
    last_request_at: datetime
    requests: int = 0
    frames: int = 0
    measured: int = 0
    reprojection_px: float = 0.0
    views_used: float = 0.0

    def plus(self, frames: int, agreement: Agreement | None) -> "Count":
        """One request more."""
        counted = replace(self, requests=self.requests + 1, frames=self.frames + frames, last_request_at=utc_now())
        if agreement is None:
            return counted
        share = 1 / (self.measured + 1)
        return replace(
            counted,
            measured=self.measured + 1,
            reprojection_px=self.reprojection_px + share * (agreement.reprojection_px - self.reprojection_px),
            views_used=self.views_used + share * (agreement.views_used - self.views_used),
        )


class Tally:
    """The counts of one process."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}
        self._lock = threading.Lock()

    def note(self, rig_id: str, checkpoint_id: str | None, frames: int, agreement: Agreement | None) -> None:
        """A request was served with the rig's active checkpoint; another one than before begins a new average."""
        with self._lock:
            count = self._counts.get(rig_id)
            if count is None or count.checkpoint_id != checkpoint_id:
                requests, seen = (0, 0) if count is None else (count.requests, count.frames)
                count = Count(checkpoint_id, utc_now(), requests, seen)
            self._counts[rig_id] = count.plus(frames, agreement)

    def write(self, session: Session) -> None:
        """Add what was counted to the database; what cannot be written is dropped."""
        with self._lock:
            counts, self._counts = self._counts, {}
        if counts:
            there = set(session.scalars(select(RigRow.id).where(RigRow.id.in_(counts))))
            for rig_id in sorted(there):  # in one order everywhere, so that processes do not lock each other out
                session.execute(_upsert(session, rig_id, counts[rig_id]))


def _upsert(session: Session, rig_id: str, count: Count) -> Any:
    """Insert the rig's row, or add to it: the average fades with every request, whichever process served it."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row, measured = RigServingRow.__table__.c, count.measured > 0
    new = {
        "rig_id": rig_id,
        "checkpoint_id": count.checkpoint_id,
        "requests": count.requests,
        "frames": count.frames,
        "reprojection_px": count.reprojection_px if measured else None,
        "views_used": count.views_used if measured else None,
        "last_request_at": count.last_request_at,
    }
    statement = insert(RigServingRow).values(new)
    same = func.coalesce(row.checkpoint_id, "") == (count.checkpoint_id or "")
    added = {
        "checkpoint_id": statement.excluded.checkpoint_id,
        "requests": row.requests + statement.excluded.requests,
        "frames": row.frames + statement.excluded.frames,
        "reprojection_px": case(
            (same, _faded(row.reprojection_px, count.reprojection_px, count.measured)),
            else_=statement.excluded.reprojection_px,
        ),
        "views_used": case(
            (same, _faded(row.views_used, count.views_used, count.measured)), else_=statement.excluded.views_used
        ),
        "last_request_at": statement.excluded.last_request_at,
    }
    return statement.on_conflict_do_update(index_elements=["rig_id"], set_=added)


def _faded(before: ColumnElement[float | None], mean: float, measured: int) -> ColumnElement[float | None]:
    """The average after ``measured`` requests more."""
    if not measured:
        return before
    keep = _KEEP**measured
    return func.coalesce(before * keep + (1 - keep) * mean, literal(mean))

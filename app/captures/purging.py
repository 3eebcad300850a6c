"""Taking a capture's footage away: the bytes go, the row stays, because checkpoints descend from it."""

from collections.abc import Iterable
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit, totals
from app.adaptations import parts
from app.adaptations.states import State, move
from app.artifacts import Artifacts
from app.captures.repository import capture_not_found
from app.db import Database
from app.errors import Conflict
from app.keeping import let_go
from app.tables import AdaptationRow, CaptureRow, utc_now

Reason = Literal["request", "policy", "rig"]


def capture_purged(capture_id: str) -> Conflict:
    """What is told to whoever still wants to use it."""
    return Conflict(
        f"The capture {capture_id!r} was purged: its frames and labels are gone.", at="capture", code="capture_purged"
    )


def purge(session: Session, capture_id: str, reason: Reason) -> CaptureRow:
    """Mark a capture as purged; its bytes are for ``erase``, once this is committed. Twice is no error.

    Adaptations that wait for it fail, but a policy waits for them. Raises Conflict where one runs: it would lose its
    frames half-way, so it has to end or be cancelled first.
    """
    query = select(CaptureRow).where(CaptureRow.id == capture_id).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True)) if capture_id.isprintable() else None
    row = found.one_or_none() if found is not None else None
    if row is None:
        raise capture_not_found(capture_id)
    if row.purged_at is not None:
        return row
    if reason != "policy":
        _end_waiting(session, row)
    if using := _adaptations(session, row, State.QUEUED, State.RUNNING):
        raise Conflict(
            f"The adaptation {using[0]!r} is using the capture {row.id!r}; wait for its end, or cancel it.",
            code="capture_in_use",
        )
    row.purged_at = utc_now()
    audit.record(session, "capture.purged", row.id, reason=reason, rig=row.rig_id, size_bytes=row.size_bytes)
    session.flush()
    return row


def erase(database: Database, artifacts: Artifacts, rows: Iterable[CaptureRow]) -> None:
    """Delete the bytes of purged captures that no other live row names, and what adaptations left of them."""
    captures = list(rows)
    digests = {sha256 for row in captures for sha256 in (row.labels_sha256, row.source_sha256)}
    with database.read_session() as session:
        used = select(AdaptationRow.id).where(AdaptationRow.capture_id.in_([row.id for row in captures]))
        digests |= parts.artifacts(session, session.scalars(used))
    let_go(database, artifacts, digests)


def _end_waiting(session: Session, row: CaptureRow) -> None:
    error = {"code": "capture_purged", "detail": capture_purged(row.id).message, "cause": "capture_purged"}
    for adaptation_id in _adaptations(session, row, State.QUEUED):
        failed = move(
            session,
            adaptation_id,
            State.QUEUED,
            State.FAILED,
            event={"stage": "failed", "error": error},
            stage="failed",
            error=error,
            finished_at=utc_now(),
        )
        if failed:
            totals.add(session, totals.FAILURES, "capture_purged", 1)


def _adaptations(session: Session, row: CaptureRow, *states: State) -> list[str]:
    query = select(AdaptationRow.id).where(AdaptationRow.capture_id == row.id, AdaptationRow.state.in_(states))
    return list(session.scalars(query))

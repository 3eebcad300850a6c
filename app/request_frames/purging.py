"""Kept frames that go: on request, with their rig, or because the policy for footage says so."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.artifacts import Artifacts
from app.db import Database
from app.keeping import let_go
from app.request_frames.repository import trim
from app.tables import RequestFrameRow, RigRow, utc_now


def purge(session: Session, rig_id: str) -> list[str]:
    """Take away all frames of a rig; answers their digests, for ``keeping.let_go``."""
    digests = trim(session, rig_id, 0)
    if digests:
        audit.record(session, "request_frames.purged", rig_id, frames=len(digests))
    return digests


def sweep(database: Database, artifacts: Artifacts, days: int | None) -> int:
    """Take away what a rig no longer keeps, and what is older than its captures may become; answers how many.

    ``days`` is what the deployment says for rigs that say nothing themselves; None and a rig's 0 are without end.
    """
    having = select(RigRow).where(RigRow.id.in_(select(RequestFrameRow.rig_id)))
    with database.read_session() as session:
        rigs = session.scalars(having).all()
    count = 0
    for rig in rigs:
        own = days if rig.capture_retention_days is None else rig.capture_retention_days or None
        before = None if own is None else utc_now() - timedelta(days=own)
        with database.session() as session:
            digests = trim(session, rig.id, rig.request_frames_kept, before)
        let_go(database, artifacts, digests)
        count += len(digests)
    return count

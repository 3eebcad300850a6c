"""Purging a rig: it is archived, and the bytes of all its captures, checkpoints and kept frames go."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.access.principal import Scope, acting
from app.artifacts import Artifacts
from app.captures import purging as captures
from app.checkpoints import purging as checkpoints
from app.checkpoints.activation import locked_rig, withdraw
from app.db import Database
from app.errors import Forbidden
from app.keeping import let_go
from app.request_frames import purging as request_frames
from app.rigs import repository, service
from app.tables import CaptureRow, CheckpointRow


def purge(database: Database, artifacts: Artifacts, rig_id: str) -> None:
    """Purge the rig; twice is no error. Raises Conflict while an adaptation runs, and then nothing has changed."""
    with database.session() as session:
        repository.get_rig(session, rig_id)
        if not acting(session).may(Scope.ADMIN):
            raise Forbidden("Purging needs the scope 'admin'.", at="query.purge")
        footage, weights = _mark(session, rig_id)
        frames = request_frames.purge(session, rig_id)
    captures.erase(database, artifacts, footage)
    checkpoints.erase(database, artifacts, weights)
    let_go(database, artifacts, frames)


def _mark(session: Session, rig_id: str) -> tuple[list[CaptureRow], list[CheckpointRow]]:
    """Mark everything; answers all of the rig's rows, so that what an earlier purge left behind is erased too."""
    footage = [
        captures.purge(session, capture_id, "rig")
        for capture_id in session.scalars(select(CaptureRow.id).where(CaptureRow.rig_id == rig_id))
    ]
    rig = locked_rig(session, rig_id)
    weights = list(session.scalars(select(CheckpointRow).where(CheckpointRow.rig_id == rig_id)))
    alive = [row for row in weights if row.purged_at is None]
    withdraw(session, rig, "The rig was purged.")
    checkpoints.mark(session, alive, "rig")
    was_in_use = rig.archived_at is None
    service.archive(session, rig_id)
    if was_in_use or alive:
        audit.record(session, "rig.purged", rig_id, captures=len(footage), checkpoints=len(alive))
    return footage, weights

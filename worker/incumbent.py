"""What a rig serves with while a new checkpoint is made for it: the new one must be better than that."""

from dataclasses import dataclass

import structlog
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.tables import ActivationRow, CheckpointRow, RigRow, RigServingRow
from models.checkpoint import Checkpoint
from models.errors import CheckpointMismatch, CorruptArtifact
from models.rig import Rig
from worker.context import WorkerContext

log = structlog.get_logger()


@dataclass(frozen=True)
class Incumbent:
    """The active checkpoint's ``id``, None where there is none, and what it holds, None too where that is not whole.

    ``used``: joints in space of this rig have been served, so whoever uses them relies on their world.
    """

    id: str | None
    checkpoint: Checkpoint | None
    used: bool


def incumbent_of(context: WorkerContext, rig_id: str, rig: Rig) -> Incumbent:
    """What the rig serves with; a checkpoint that cannot be loaded is no rival, or no rig could be mended."""
    with context.db.read_session() as session:
        active = session.get_one(RigRow, rig_id).active_checkpoint_id
        row = session.get(CheckpointRow, active) if active else None
        used = _used(session, rig_id)
    if row is None:
        return Incumbent(active, None, used)
    try:
        checkpoint = Checkpoint.from_bytes(context.artifacts.read(row.artifact_sha256))
        checkpoint.rig(rig)
    except (CorruptArtifact, CheckpointMismatch) as error:
        log.warning("the active checkpoint cannot be compared with", checkpoint=active, code=error.code)
        return Incumbent(active, None, used)
    return Incumbent(active, checkpoint, used)


def _used(session: Session, rig_id: str) -> bool:
    served = select(RigServingRow.rig_id).where(RigServingRow.rig_id == rig_id, RigServingRow.requests > 0)
    activated = select(ActivationRow.id).where(ActivationRow.rig_id == rig_id)
    return bool(session.scalar(select(exists(served) | exists(activated))))

"""Which checkpoint a pose request means."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.checkpoints.purging import checkpoint_purged
from app.errors import NotFound
from app.poses.engines import EPIPOLAR, NO_FUSION, Fusion
from app.tables import CheckpointRow, RigRow
from models.errors import CheckpointMismatch

ACTIVE = "active"


def find_fusion(session: Session, rig_id: str, asked: str) -> Fusion:
    """Resolve ``active``, as it is at this moment, ``none``, ``epipolar`` or an id.

    A rig without an active checkpoint is served without fusion, and the answer says ``none``. Raises NotFound for an
    id that is not there, Conflict for one whose bytes were purged and CheckpointMismatch for one of another rig.
    """
    if asked == ACTIVE:
        asked = session.scalar(select(RigRow.active_checkpoint_id).where(RigRow.id == rig_id)) or NO_FUSION
    if asked in (NO_FUSION, EPIPOLAR):
        return Fusion(asked)
    row = session.get(CheckpointRow, asked) if asked.isprintable() else None
    if row is None:
        raise NotFound(
            f"There is no checkpoint {asked!r}; use active, none, epipolar or the id of a checkpoint of this rig.",
            at="query.checkpoint",
            code="checkpoint_not_found",
        )
    if row.rig_id != rig_id:
        raise CheckpointMismatch(f"The checkpoint {asked!r} is of another rig.", at="query.checkpoint")
    if row.purged_at is not None:
        raise checkpoint_purged(row.id)
    return Fusion(row.id, row.artifact_sha256)

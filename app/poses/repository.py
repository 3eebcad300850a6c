"""Which checkpoint a pose request means."""

from sqlalchemy.orm import Session

from app.errors import NotFound
from app.poses.engines import EPIPOLAR, NO_FUSION, Fusion
from app.tables import CheckpointRow
from models.errors import CheckpointMismatch

ACTIVE = "active"


def find_fusion(session: Session, rig_id: str, active_checkpoint_id: str | None, asked: str) -> Fusion:
    """Resolve ``active``, ``none``, ``epipolar`` or an id.

    A rig without an active checkpoint is served without fusion, and the answer says ``none``. Raises NotFound for an
    id that is not there and CheckpointMismatch for a checkpoint of another rig.
    """
    if asked == ACTIVE:
        asked = active_checkpoint_id or NO_FUSION
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
    return Fusion(row.id, row.artifact_sha256)

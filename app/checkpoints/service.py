"""Finding checkpoints, and choosing the one a rig serves with."""

from sqlalchemy.orm import Session

from app.artifacts import ArtifactStore
from app.checkpoints import activation
from app.errors import Conflict, NotFound
from app.tables import CheckpointRow, RigRow


def find(session: Session, checkpoint_id: str) -> tuple[CheckpointRow, RigRow]:
    """The checkpoint of that id and its rig; raises NotFound."""
    row = session.get(CheckpointRow, checkpoint_id)
    if row is None:
        raise NotFound(f"There is no checkpoint {checkpoint_id!r}.", code="checkpoint_not_found")
    return row, session.get_one(RigRow, row.rig_id)


def find_rig(session: Session, rig_id: str) -> RigRow:
    """The rig of that id; raises NotFound."""
    rig = session.get(RigRow, rig_id)
    if rig is None:
        raise NotFound(f"There is no rig {rig_id!r}.", code="rig_not_found")
    return rig


def activate(session: Session, artifacts: ArtifactStore, checkpoint_id: str) -> tuple[CheckpointRow, RigRow]:
    """Serve the rig with this checkpoint, whether it was promoted or not: an operator may know better.

    Raises CorruptArtifact where its bytes are not whole, so that a rig never serves with what cannot be loaded.
    """
    row, _ = find(session, checkpoint_id)
    rig = _changeable_rig(session, row.rig_id)
    artifacts.read(row.artifact_sha256)
    activation.activate(session, rig, checkpoint_id, activation.Action.ACTIVATED)
    return row, rig


def roll_back(session: Session, rig_id: str) -> tuple[RigRow, str]:
    """Serve the rig as before its last promotion or activation; answers the checkpoint that no longer serves."""
    rig = _changeable_rig(session, rig_id)
    before = rig.active_checkpoint_id or ""
    activation.roll_back(session, rig)
    return rig, before


def _changeable_rig(session: Session, rig_id: str) -> RigRow:
    rig = activation.locked_rig(session, rig_id)
    if rig is None:
        raise NotFound(f"There is no rig {rig_id!r}.", code="rig_not_found")
    if rig.archived_at is not None:
        raise Conflict(f"The rig {rig_id!r} is archived; what it serves with no longer changes.", code="rig_archived")
    return rig

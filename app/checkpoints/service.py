"""Finding checkpoints, and choosing the one a rig serves with."""

from sqlalchemy.orm import Session

from app.artifacts import ArtifactStore
from app.checkpoints import activation
from app.errors import NotFound
from app.rigs.repository import get_usable_rig
from app.tables import CheckpointRow, RigRow


def find(session: Session, checkpoint_id: str) -> tuple[CheckpointRow, RigRow]:
    """The checkpoint of that id and its rig; raises NotFound."""
    row = session.get(CheckpointRow, checkpoint_id) if checkpoint_id.isprintable() else None
    if row is None:
        detail = f"There is no checkpoint {checkpoint_id!r}."
        raise NotFound(detail, at="path.checkpoint_id", code="checkpoint_not_found")
    return row, session.get_one(RigRow, row.rig_id)


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
    get_usable_rig(session, rig_id)
    return activation.locked_rig(session, rig_id)

"""Finding checkpoints, and choosing the one a rig serves with."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.artifacts import Artifacts
from app.checkpoints import activation
from app.checkpoints.purging import checkpoint_purged
from app.db import Database
from app.errors import NotFound
from app.poses.engines import Engines, Fusion
from app.rigs.cache import RigCache
from app.rigs.repository import get_rig, get_usable_rig
from app.tables import ActivationRow, CheckpointRow, RigRow


def find(session: Session, checkpoint_id: str) -> tuple[CheckpointRow, RigRow]:
    """The checkpoint of that id and its rig; raises NotFound."""
    row = session.get(CheckpointRow, checkpoint_id) if checkpoint_id.isprintable() else None
    if row is None:
        detail = f"There is no checkpoint {checkpoint_id!r}."
        raise NotFound(detail, at="path.checkpoint_id", code="checkpoint_not_found")
    return row, session.get_one(RigRow, row.rig_id)


def find_whole(session: Session, checkpoint_id: str) -> tuple[CheckpointRow, RigRow]:
    """The same, which must not have been purged; raises NotFound or Conflict."""
    row, rig = find(session, checkpoint_id)
    if row.purged_at is not None:
        raise checkpoint_purged(checkpoint_id)
    return row, rig


def check_serving(
    database: Database, artifacts: Artifacts, rigs: RigCache, engines: Engines, checkpoint_id: str
) -> None:
    """See to it that the checkpoint can serve, before it does; its engine is then loaded here.

    Takes too long for a session to be open meanwhile. Raises CorruptArtifact where its bytes are not whole, and
    CheckpointMismatch where they are not for its rig.
    """
    with database.read_session() as session:
        row, _ = find_whole(session, checkpoint_id)
        rig = rigs.get(get_usable_rig(session, row.rig_id))
    artifacts.open(row.artifact_sha256).close()
    engines.get(rig, Fusion(row.id, row.artifact_sha256))


def activate(session: Session, checkpoint_id: str, reason: str) -> tuple[CheckpointRow, RigRow]:
    """Serve the rig with this checkpoint, whether it was promoted or not: an operator may know better."""
    row, _ = find(session, checkpoint_id)
    rig = _changeable_rig(session, row.rig_id)
    session.refresh(row)
    if row.purged_at is not None:  # since it was checked
        raise checkpoint_purged(checkpoint_id)
    activation.activate(session, rig, checkpoint_id, activation.Action.ACTIVATED, reason)
    return row, rig


def rollback_target(database: Database, rig_id: str) -> str | None:
    """The checkpoint that rolling the rig back leads to, None for no fusion; raises NotFound or Conflict."""
    with database.read_session() as session:
        get_usable_rig(session, rig_id)
        return activation.rollback_target(session, rig_id)


def roll_back(session: Session, rig_id: str, reason: str) -> tuple[RigRow, str]:
    """Serve the rig as before its last promotion or activation; answers the checkpoint that no longer serves."""
    rig = _changeable_rig(session, rig_id)
    before = rig.active_checkpoint_id or ""
    activation.roll_back(session, rig, reason)
    return rig, before


def list_activations(
    session: Session, rig_id: str, limit: int, before: int | None
) -> tuple[Sequence[ActivationRow], bool]:
    """A rig's changes of its checkpoint, the newest first, from before the number; and whether there are more."""
    get_rig(session, rig_id)
    query = select(ActivationRow).where(ActivationRow.rig_id == rig_id)
    if before is not None:
        query = query.where(ActivationRow.id < before)
    rows = session.scalars(query.order_by(ActivationRow.id.desc()).limit(limit + 1)).all()
    return rows[:limit], len(rows) > limit


def _changeable_rig(session: Session, rig_id: str) -> RigRow:
    get_usable_rig(session, rig_id)
    return activation.locked_rig(session, rig_id)

"""Taking checkpoints' bytes away: on request, by policy, or with their rig; the rows stay, for lineage."""

from collections.abc import Iterable, Sequence
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit
from app.artifacts import Artifacts
from app.checkpoints.activation import locked_rig, rollbacks
from app.db import Database
from app.errors import Conflict
from app.keeping import let_go
from app.tables import CheckpointRow, RigRow, utc_now

Reason = Literal["request", "policy", "rig"]


def checkpoint_purged(checkpoint_id: str) -> Conflict:
    """What is told to whoever still wants to use it."""
    return Conflict(f"The checkpoint {checkpoint_id!r} was purged: its bytes are gone.", code="checkpoint_purged")


def purge(session: Session, row: CheckpointRow) -> None:
    """Mark a checkpoint as purged on request, its rig locked; raises Conflict while it is active or pinned."""
    rig = locked_rig(session, row.rig_id)
    session.refresh(row)
    if row.purged_at is not None:
        return
    if row.id == rig.active_checkpoint_id:
        raise Conflict("The rig serves with this checkpoint; activate another one first.", code="checkpoint_active")
    if row.pinned:
        raise Conflict("The checkpoint is pinned; unpin it first.", code="checkpoint_pinned")
    mark(session, [row], "request")


def purge_surplus(session: Session, rig_id: str, kept: int) -> list[CheckpointRow]:
    """Mark what a policy that keeps ``kept`` checkpoints lets go; answers those rows.

    It keeps the active one, the pinned ones, the newest, and as many as rolling back would come to.
    """
    rig = locked_rig(session, rig_id)
    query = select(CheckpointRow).where(CheckpointRow.rig_id == rig_id, CheckpointRow.purged_at.is_(None))
    rows = session.scalars(query.order_by(CheckpointRow.created_at.desc(), CheckpointRow.id.desc())).all()
    way_back = rollbacks(session, rig_id, {row.id for row in rows})
    keep = {rig.active_checkpoint_id, *way_back[:kept], *(row.id for row in rows[:kept])}
    surplus = [row for row in rows if row.id not in keep and not row.pinned]
    mark(session, surplus, "policy")
    return surplus


def mark(session: Session, rows: Iterable[CheckpointRow], reason: Reason) -> None:
    """Mark checkpoints as purged; their bytes are for ``erase``, once this is committed."""
    for row in rows:
        row.purged_at = utc_now()
        audit.record(session, "checkpoint.purged", row.id, reason=reason, rig=row.rig_id, size_bytes=row.size_bytes)
    session.flush()


def erase(database: Database, artifacts: Artifacts, rows: Sequence[CheckpointRow]) -> None:
    """Delete the bytes of purged checkpoints that no other live row names."""
    let_go(database, artifacts, {row.artifact_sha256 for row in rows})


def set_pinned(session: Session, row: CheckpointRow, *, pinned: bool) -> RigRow:
    """Pin a checkpoint, so that neither policy nor request purges it, or let go of it; raises Conflict where purged."""
    rig = locked_rig(session, row.rig_id)
    session.refresh(row)
    if row.purged_at is not None:
        raise checkpoint_purged(row.id)
    if row.pinned != pinned:
        row.pinned = pinned
        audit.record(session, "checkpoint.pinned" if pinned else "checkpoint.unpinned", row.id, rig=row.rig_id)
    return rig

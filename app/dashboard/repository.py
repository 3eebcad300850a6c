"""What the dashboard shows, read in three queries."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.rigs.repository import adapting
from app.rigs.service import status_of
from app.tables import AdaptationRow, CheckpointRow, RigRow

RIGS_SHOWN = 50
ADAPTATIONS_SHOWN = 15


@dataclass(frozen=True)
class RigCard:
    """One rig: its state, and the joint detection rate in percent without and with fusion."""

    row: RigRow
    status: str
    cameras: int
    jdr_before: float | None
    jdr_after: float | None
    checkpoint: CheckpointRow | None


def rig_cards(session: Session) -> list[RigCard]:
    """The newest rigs in use."""
    query = (
        select(RigRow, CheckpointRow)
        .outerjoin(CheckpointRow, RigRow.active_checkpoint_id == CheckpointRow.id)
        .where(RigRow.archived_at.is_(None))
        .order_by(RigRow.created_at.desc())
        .limit(RIGS_SHOWN)
    )
    rows = session.execute(query).all()
    busy = adapting(session, [rig.id for rig, _ in rows])
    return [_card(rig, checkpoint, rig.id in busy) for rig, checkpoint in rows]


def recent_adaptations(session: Session) -> Sequence[tuple[AdaptationRow, str]]:
    """The newest adaptations, each with its rig's name."""
    query = (
        select(AdaptationRow, RigRow.name)
        .join(RigRow, RigRow.id == AdaptationRow.rig_id)
        .order_by(AdaptationRow.created_at.desc())
        .limit(ADAPTATIONS_SHOWN)
    )
    return [(adaptation, name) for adaptation, name in session.execute(query)]


def _card(rig: RigRow, checkpoint: CheckpointRow | None, is_adapting: bool) -> RigCard:
    metrics = checkpoint.manifest.get("metrics") if checkpoint else None
    return RigCard(
        row=rig,
        status=status_of(rig, is_adapting=is_adapting),
        cameras=len(rig.document["cameras"]),
        jdr_before=_percent(metrics, "no_fusion"),
        jdr_after=_percent(metrics, "fused"),
        checkpoint=checkpoint,
    )


def _percent(metrics: object, system: str) -> float | None:
    """The joint detection rate of ``system`` in percent; metrics tell it as a share."""
    row = metrics.get(system) if isinstance(metrics, dict) else None
    jdr = row.get("jdr") if isinstance(row, dict) else None
    return 100.0 * jdr if isinstance(jdr, (int, float)) else None

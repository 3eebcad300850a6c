"""How a rig is served of late, and whether it drifts from what its checkpoint promised."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.deps import ReadSessionDep
from app.problems import responses
from app.rigs.repository import get_rig
from app.tables import CheckpointRow, RigServingRow
from app.wire import Id, Time

router = APIRouter(tags=["poses"])

DRIFTING_FROM = 1.25
"""A served reprojection error of so many times the held-out one is drift.

On simulated rigs of four cameras it is 1.01 as calibrated, 1.07 to 1.21 after one camera turned by 0.5°, 1.3 to 1.5
after 1° and 1.8 to 2.1 after 2°. A camera turned by 4° is outvoted: the error looks well again, and ``views_used``
falls from 3.6 to 2.8.
"""


class Drift(BaseModel):
    """Whether the views still agree as they did on the frames that the checkpoint was judged by."""

    word: Literal["ok", "drifting"]
    ratio: float = Field(description="the served reprojection error over the held-out one")
    held_out_px: float = Field(description="median over the held-out frames, as the checkpoint's metrics tell it")
    drifting_from: float = Field(description="the ratio from which the word is `drifting`")


class RigServing(BaseModel):
    """How a rig is served of late; written every few seconds by each process."""

    rig: str
    checkpoint: str | None = Field(description="what the last requests were served with; null is without fusion")
    requests: int = Field(description="with the active checkpoint; every live frame counts as one")
    frames: int
    reprojection_px: float | None = Field(
        description="the median of a request, averaged over about the last 64 requests with this checkpoint"
    )
    views_used: float | None = Field(
        description="how many views a joint in space had, averaged likewise; falls where a camera is outvoted"
    )
    last_request_at: Time | None
    drift: Drift | None = Field(description="null where there is no checkpoint, or nothing to compare")


@router.get("/rigs/{rig_id}/serving", summary="How a rig is served of late", responses=responses(401, 404))
def read_serving(rig_id: Id, session: ReadSessionDep) -> RigServing:
    """A camera that was knocked shows here before anybody looks at the poses."""
    rig = get_rig(session, rig_id)
    row = session.get(RigServingRow, rig.id)
    if row is None:
        return RigServing(
            rig=rig.id, checkpoint=rig.active_checkpoint_id, requests=0, frames=0, reprojection_px=None,
            views_used=None, last_request_at=None, drift=None,
        )  # fmt: skip
    return RigServing(
        rig=rig.id,
        checkpoint=row.checkpoint_id,
        requests=row.requests,
        frames=row.frames,
        reprojection_px=row.reprojection_px,
        views_used=row.views_used,
        last_request_at=row.last_request_at,
        drift=_drift(session, row),
    )


def _drift(session: Session, row: RigServingRow) -> Drift | None:
    checkpoint = session.get(CheckpointRow, row.checkpoint_id) if row.checkpoint_id else None
    held_out = None if checkpoint is None else held_out_px(checkpoint.manifest)
    if held_out is None or row.reprojection_px is None:
        return None
    ratio = row.reprojection_px / held_out
    word: Literal["ok", "drifting"] = "drifting" if ratio >= DRIFTING_FROM else "ok"
    return Drift(word=word, ratio=round(ratio, 3), held_out_px=held_out, drifting_from=DRIFTING_FROM)


def held_out_px(manifest: dict[str, Any]) -> float | None:
    """The median reprojection error of a checkpoint's manifest, where it was measured."""
    fused = (manifest.get("metrics") or {}).get("fused") or {}
    value = fused.get("reprojection_median_px") or fused.get("reprojection_px")
    return float(value) if value else None

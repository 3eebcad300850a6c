"""The viewer's page: of a capture's frames, or of the frames that a rig keeps of its requests."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.captures.repository import get_capture
from app.dashboard.frames.routes import ViewerDep
from app.dashboard.frames.subjects import footage_of_capture
from app.dashboard.pages import PageDep
from app.deps import DatabaseDep
from app.pagination import MAX_PAGE
from app.request_frames.repository import list_frames
from app.rigs.repository import get_rig
from app.rigs.routes import RigsDep
from app.tables import CheckpointRow, RequestFrameRow, RigRow
from app.wire import Id

router = APIRouter(include_in_schema=False)
_CHECKPOINTS = 30
_TEMPLATE = "frames.html"


@router.get("/captures/{capture_id}/frames")
def frames_of_capture(
    capture_id: Id, page: PageDep, database: DatabaseDep, rigs: RigsDep, viewer: ViewerDep
) -> HTMLResponse:
    """The frames of a capture."""
    with database.read_session() as session:
        row = get_capture(session, capture_id)
        footage = footage_of_capture(session, rigs, row)
        rig, checkpoints = session.get_one(RigRow, row.rig_id), _checkpoints(session, row.rig_id)
    names = viewer.open(footage).file.frames
    frames = [{"key": index, "name": name} for index, name in enumerate(names)]
    wanted = _wanted(rig, f"/captures/{row.id}/frames", frames, checkpoints)
    wanted |= {"kind": row.kind, "view": "rig"}  # as an adaptation looks at them
    return page.show(_TEMPLATE, rig=rig, capture=row, wanted=wanted)


@router.get("/rigs/{rig_id}/requests")
def frames_of_requests(rig_id: Id, page: PageDep, database: DatabaseDep) -> HTMLResponse:
    """The frames that a rig keeps of its requests, the newest first."""
    with database.read_session() as session:
        rig = get_rig(session, rig_id)
        rows, _ = list_frames(session, rig_id, MAX_PAGE, None)
        checkpoints = _checkpoints(session, rig_id)
    kind = "heatmaps" if rows and all(row.kind == "heatmaps" for row in rows) else "images"
    wanted = _wanted(rig, f"/rigs/{rig.id}/requests", [_request(row) for row in rows], checkpoints)
    wanted |= {"kind": kind, "view": "auto"}  # as they were served
    return page.show(_TEMPLATE, rig=rig, capture=None, wanted=wanted)


def _wanted(
    rig: RigRow, base: str, frames: Sequence[dict[str, Any]], checkpoints: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What the page's script has to know."""
    document = rig.document
    return {
        "base": base,
        "rig": rig.id,
        "frames": frames,
        "checkpoints": checkpoints,
        "space": {"units": document.get("units", "m"), "up": document.get("up"), "volume": document.get("volume")},
    }


def _request(row: RequestFrameRow) -> dict[str, Any]:
    return {"key": row.id, "name": row.frame, "at": row.created_at.isoformat(timespec="seconds")}


def _checkpoints(session: Session, rig_id: str) -> list[dict[str, Any]]:
    """Those that a frame may be looked at with: the newest whose bytes are there."""
    query = select(CheckpointRow).where(CheckpointRow.rig_id == rig_id, CheckpointRow.purged_at.is_(None))
    rows = session.scalars(query.order_by(CheckpointRow.created_at.desc(), CheckpointRow.id).limit(_CHECKPOINTS))
    return [{"id": row.id, "made": row.created_at.strftime("%Y-%m-%d %H:%M"), "method": row.method} for row in rows]

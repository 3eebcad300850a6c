"""The endpoints of checkpoints."""

from typing import Annotated

from fastapi import APIRouter, Header, Response, status
from fastapi.responses import FileResponse
from sqlalchemy import select

from app.checkpoints import service
from app.checkpoints.schemas import Checkpoint, CheckpointManifest, Rollback
from app.deps import ArtifactsDep, ReadSessionDep, SessionDep
from app.pagination import Page, PageDep, fetch_page
from app.problems import responses
from app.rigs.repository import get_rig
from app.tables import CheckpointRow
from app.wire import Id

router = APIRouter(tags=["checkpoints"])


@router.get("/rigs/{rig_id}/checkpoints", summary="List a rig's checkpoints", responses=responses(401, 404, 422))
def list_checkpoints(rig_id: Id, session: ReadSessionDep, page: PageDep) -> Page[Checkpoint]:
    """The checkpoints of a rig, the newest first."""
    rig = get_rig(session, rig_id)
    statement = select(CheckpointRow).where(CheckpointRow.rig_id == rig_id)
    rows, next_cursor = fetch_page(session, statement, page, table=CheckpointRow)
    items = [Checkpoint.of(row, rig.active_checkpoint_id) for row in rows]
    return Page[Checkpoint](items=items, next_cursor=next_cursor)


@router.get("/checkpoints/{checkpoint_id}", summary="Read a checkpoint's manifest", responses=responses(401, 404))
def get_checkpoint(checkpoint_id: Id, session: ReadSessionDep) -> CheckpointManifest:
    """Where a checkpoint comes from, and what was measured with it on frames held out of the finetuning."""
    row, rig = service.find(session, checkpoint_id)
    return CheckpointManifest.of(row, rig.active_checkpoint_id)


@router.get(
    "/checkpoints/{checkpoint_id}/artifact",
    summary="Download a checkpoint",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {}}},
        304: {"description": "Not changed"},
        **responses(401, 404),
    },
)
def get_artifact(
    checkpoint_id: Id,
    session: ReadSessionDep,
    artifacts: ArtifactsDep,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The checkpoint's bytes, in the safetensors format; the ETag is their SHA-256."""
    row, _ = service.find(session, checkpoint_id)
    etag = f'"{row.artifact_sha256}"'
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
    artifacts.read(row.artifact_sha256)  # never send bytes that are not what was stored
    return FileResponse(
        artifacts.path(row.artifact_sha256),
        media_type="application/octet-stream",
        filename=f"{row.id}.safetensors",
        headers={"ETag": etag, "Cache-Control": "private, immutable"},
    )


@router.post(
    "/checkpoints/{checkpoint_id}/activate", summary="Serve with a checkpoint", responses=responses(401, 404, 409)
)
def activate_checkpoint(checkpoint_id: Id, session: SessionDep, artifacts: ArtifactsDep) -> Checkpoint:
    """Serve the rig with this checkpoint from now on."""
    row, rig = service.activate(session, artifacts, checkpoint_id)
    return Checkpoint.of(row, rig.active_checkpoint_id)


@router.post("/rigs/{rig_id}/rollback", summary="Serve as before", responses=responses(401, 404, 409))
def roll_back(rig_id: Id, session: SessionDep) -> Rollback:
    """Serve the rig with the checkpoint that was active before, or without fusion where there was none."""
    rig, before = service.roll_back(session, rig_id)
    return Rollback(rig=rig.id, active_checkpoint=rig.active_checkpoint_id, rolled_back=before)

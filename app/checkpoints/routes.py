"""The endpoints of checkpoints."""

from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Request, Response, status
from sqlalchemy import select

from app.auth import ADMIN
from app.checkpoints import purging, service
from app.checkpoints.schemas import Activation, Because, Checkpoint, CheckpointManifest, Rollback
from app.deps import ArtifactsDep, DatabaseDep, ReadSessionDep, SessionDep
from app.downloads import MEDIA_TYPE, Download
from app.pagination import MAX_PAGE, Page, PageDep, fetch_page
from app.problems import responses
from app.rigs.repository import get_rig
from app.rigs.routes import RigsDep
from app.tables import CheckpointRow
from app.wire import Id

router = APIRouter(tags=["checkpoints"])
BecauseBody = Annotated[Because | None, Body()]


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
    status_code=status.HTTP_200_OK,  # which FastAPI cannot read off this class
    response_class=Download,
    responses={
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "Not changed"},
        **responses(401, 404, 409, 503, 507),
    },
)
def get_artifact(
    checkpoint_id: Id,
    database: DatabaseDep,
    artifacts: ArtifactsDep,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The checkpoint's bytes, in the safetensors format; the ETag is their SHA-256."""
    with database.read_session() as session:
        row, _ = service.find_whole(session, checkpoint_id)
    etag = f'"{row.artifact_sha256}"'
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
    handle = artifacts.open(row.artifact_sha256)  # never send bytes that are not what was stored
    return Download(handle, row.artifact_sha256, f"{row.id}.safetensors")


@router.post(
    "/checkpoints/{checkpoint_id}/activate",
    summary="Serve with a checkpoint",
    responses=responses(401, 403, 404, 409, 422, 503, 507),
)
def activate_checkpoint(
    *,
    checkpoint_id: Id,
    request: Request,
    database: DatabaseDep,
    artifacts: ArtifactsDep,
    rigs: RigsDep,
    because: BecauseBody = None,
) -> Checkpoint:
    """Serve the rig with this checkpoint from now on; refused where its bytes are not whole or cannot serve."""
    service.check_serving(database, artifacts, rigs, request.app.state.engines, checkpoint_id)
    with database.session() as session:
        row, rig = service.activate(session, checkpoint_id, because.reason if because else "")
        return Checkpoint.of(row, rig.active_checkpoint_id)


@router.post(
    "/rigs/{rig_id}/rollback", summary="Serve as before", responses=responses(401, 403, 404, 409, 422, 503, 507)
)
def roll_back(
    *,
    rig_id: Id,
    request: Request,
    database: DatabaseDep,
    artifacts: ArtifactsDep,
    rigs: RigsDep,
    because: BecauseBody = None,
) -> Rollback:
    """Serve the rig with the checkpoint that was active before, or without fusion where there was none.

    Checkpoints that were purged are passed over; one that cannot serve is refused, as when it is activated.
    """
    target = service.rollback_target(database, rig_id)
    if target is not None:
        service.check_serving(database, artifacts, rigs, request.app.state.engines, target)
    with database.session() as session:
        rig, before = service.roll_back(session, rig_id, because.reason if because else "")
        return Rollback(rig=rig.id, active_checkpoint=rig.active_checkpoint_id, rolled_back=before)


@router.get(
    "/rigs/{rig_id}/activations",
    summary="What a rig served with, since when, and why",
    responses=responses(401, 404, 422),
)
def list_activations(
    rig_id: Id,
    session: ReadSessionDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="rows in a page")] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$", description="next_cursor of the page before")] = None,
) -> Page[Activation]:
    """The changes of a rig's active checkpoint, the newest first."""
    rows, more = service.list_activations(session, rig_id, limit, None if cursor is None else int(cursor))
    items = [Activation.of(row) for row in rows]
    return Page[Activation](items=items, next_cursor=str(rows[-1].id) if more else None)


@router.post("/checkpoints/{checkpoint_id}/pin", summary="Keep a checkpoint", responses=responses(401, 403, 404, 409))
def pin(checkpoint_id: Id, session: SessionDep) -> Checkpoint:
    """Neither the retention policy nor a request purges it until it is unpinned."""
    return _pin(session, checkpoint_id, pinned=True)


@router.post(
    "/checkpoints/{checkpoint_id}/unpin", summary="Let go of a checkpoint", responses=responses(401, 403, 404, 409)
)
def unpin(checkpoint_id: Id, session: SessionDep) -> Checkpoint:
    """The retention policy may purge it again."""
    return _pin(session, checkpoint_id, pinned=False)


@router.delete(
    "/checkpoints/{checkpoint_id}",
    summary="Purge a checkpoint's bytes",
    openapi_extra=ADMIN,
    responses=responses(401, 403, 404, 409, 503),
)
def purge(checkpoint_id: Id, database: DatabaseDep, artifacts: ArtifactsDep) -> Checkpoint:
    """The row stays, with `purged_at`; refused while the checkpoint is active or pinned."""
    with database.session() as session:
        row, rig = service.find(session, checkpoint_id)
        purging.purge(session, row)
        answer = Checkpoint.of(row, rig.active_checkpoint_id)
    purging.erase(database, artifacts, [row])
    return answer


def _pin(session: SessionDep, checkpoint_id: str, *, pinned: bool) -> Checkpoint:
    row, _ = service.find(session, checkpoint_id)
    rig = purging.set_pinned(session, row, pinned=pinned)
    return Checkpoint.of(row, rig.active_checkpoint_id)

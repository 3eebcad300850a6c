"""The endpoints of kept frames."""

from typing import Annotated

from fastapi import APIRouter, Query, status

from app.auth import ADMIN
from app.deps import ArtifactsDep, DatabaseDep, ReadSessionDep
from app.keeping import let_go
from app.pagination import MAX_PAGE, Page
from app.problems import responses
from app.request_frames import purging, repository
from app.request_frames.schemas import RequestFrame
from app.rigs.repository import get_rig
from app.wire import Id

router = APIRouter(tags=["poses"])


@router.get(
    "/rigs/{rig_id}/request-frames", summary="List a rig's kept frames of requests", responses=responses(401, 404, 422)
)
def list_frames(
    rig_id: Id,
    session: ReadSessionDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="rows in a page")] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$", description="next_cursor of the page before")] = None,
) -> Page[RequestFrame]:
    """Newest first. None are kept unless the rig's `request_frames_kept` says how many."""
    get_rig(session, rig_id)
    rows, more = repository.list_frames(session, rig_id, limit, None if cursor is None else int(cursor))
    items = [RequestFrame.of(row) for row in rows]
    return Page[RequestFrame](items=items, next_cursor=str(rows[-1].id) if more else None)


@router.delete(
    "/rigs/{rig_id}/request-frames",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Purge a rig's kept frames of requests",
    openapi_extra=ADMIN,
    responses=responses(401, 403, 404, 503),
)
def purge(rig_id: Id, database: DatabaseDep, artifacts: ArtifactsDep) -> None:
    """The bytes are gone when this answers, unless a capture holds the same; new ones are kept as the rig says."""
    with database.session() as session:
        get_rig(session, rig_id)
        digests = purging.purge(session, rig_id)
    let_go(database, artifacts, digests)

"""The endpoints of rigs."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status
from starlette.requests import HTTPConnection

from app.deps import ArtifactsDep, DatabaseDep, ReadSessionDep, SessionDep
from app.keeping import let_go
from app.pagination import Page, PageDep
from app.problems import responses
from app.rigs import purging, repository, service
from app.rigs.cache import RigCache
from app.rigs.schemas import RigIn, RigOut, RigPatch
from app.wire import Id
from models.rig import Rig

router = APIRouter(prefix="/rigs", tags=["rigs"])


@dataclass(frozen=True)
class Target:
    """A rig in use, without the session that it came from."""

    id: str
    rig: Rig
    active_checkpoint_id: str | None


def get_rigs(connection: HTTPConnection) -> RigCache:
    """The application's cache of rigs."""
    return connection.app.state.rigs


RigsDep = Annotated[RigCache, Depends(get_rigs)]


def get_target(rig_id: Id, database: DatabaseDep, rigs: RigsDep) -> Target:
    """The rig that an upload is for, looked up before any of the upload is read; raises NotFound or Conflict."""
    with database.read_session() as session:
        row = repository.get_usable_rig(session, rig_id)
        return Target(row.id, rigs.get(row), row.active_checkpoint_id)


TargetDep = Annotated[Target, Depends(get_target)]


@router.post("", status_code=status.HTTP_201_CREATED, summary="Register a rig", responses=responses(401, 422))
def register(sent: RigIn, session: SessionDep, rigs: RigsDep, response: Response) -> RigOut:
    """A calibration that cannot be right is refused with the field that is wrong."""
    row = service.register(session, sent)
    response.headers["Location"] = f"/v1/rigs/{row.id}"
    return service.describe(session, [row], rigs)[0]


@router.get("", summary="List rigs", responses=responses(401, 422))
def list_rigs(
    session: ReadSessionDep,
    rigs: RigsDep,
    page: PageDep,
    archived: Annotated[bool, Query(description="those archived instead of those in use")] = False,
) -> Page[RigOut]:
    """Newest first."""
    rows, cursor = repository.list_rigs(session, page, archived=archived)
    return Page[RigOut](items=service.describe(session, rows, rigs), next_cursor=cursor)


@router.get("/{rig_id}", summary="Read a rig, with each camera's view", responses=responses(401, 404))
def read(rig_id: Id, session: ReadSessionDep, rigs: RigsDep) -> RigOut:
    """Each camera's `view.K` tells where its heatmaps lie, so that a client can render or read them itself."""
    return service.describe(session, [repository.get_rig(session, rig_id)], rigs)[0]


@router.patch("/{rig_id}", summary="Rename or describe a rig", responses=responses(401, 404, 409, 422))
def change(rig_id: Id, patch: RigPatch, database: DatabaseDep, artifacts: ArtifactsDep, rigs: RigsDep) -> RigOut:
    """Name, notes and tags may change, and how long things are kept; the calibration never does."""
    with database.session() as session:
        row, surplus = service.change(session, rig_id, patch)
        changed = service.describe(session, [row], rigs)[0]
    let_go(database, artifacts, surplus)
    return changed


@router.delete(
    "/{rig_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Archive a rig, or purge it",
    responses=responses(401, 403, 404, 409, 503),
)
def archive(
    rig_id: Id,
    database: DatabaseDep,
    artifacts: ArtifactsDep,
    purge: Annotated[
        bool, Query(description="also purge its captures, checkpoints and kept frames; needs the scope admin")
    ] = False,
) -> None:
    """The rig and all that came from it stay readable; with `purge`, their rows do, and the bytes are gone."""
    if purge:
        purging.purge(database, artifacts, rig_id)
        return
    with database.session() as session:
        service.archive(session, rig_id)

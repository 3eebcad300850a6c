"""The endpoints of captures."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, Query, Request, Response, status
from sqlalchemy.orm import Session

from app import retention
from app.access.quotas import check_room
from app.auth import ADMIN
from app.captures import purging, repository, service
from app.captures.schemas import UPLOAD_BODY, CaptureOut
from app.deps import ArtifactsDep, BackboneDep, DatabaseDep, ReadSessionDep, SettingsDep
from app.errors import ServiceUnavailable
from app.pagination import Page, PageDep
from app.problems import responses
from app.resumable.routes import OwnerDep, StoreDep, claimed
from app.rigs.repository import get_rig
from app.rigs.routes import TargetDep
from app.settings import Settings
from app.tables import CaptureRow
from app.uploads import Upload, receive
from app.wire import Id
from models.errors import InvalidInput

router = APIRouter(tags=["captures"])
UploadId = Annotated[str | None, Query(max_length=40, description="a finished upload, in place of the part")]
MAX_WAITING = 16  # each of them is an upload on disk


async def receive_capture(
    *,
    request: Request,
    settings: SettingsDep,
    uploads: StoreDep,
    owner: OwnerDep,
    frames_upload: UploadId = None,
    heatmaps_upload: UploadId = None,
) -> AsyncIterator[Upload]:
    """Stream the parts of a capture to disk; they are gone when the endpoint has returned.

    A finished resumable upload that takes a part's place is gone only when the capture is sealed.
    """
    given = {name: id_ for name, id_ in (("frames", frames_upload), ("heatmaps", heatmaps_upload)) if id_ is not None}
    if len(given) > 1:
        raise InvalidInput(
            "Send exactly one of 'frames' or 'heatmaps': both were named.",
            at="query.heatmaps_upload",
            code="conflicting_parts",
        )
    limits = {"labels": settings.max_labels_bytes}
    if not given:
        limits |= {"frames": settings.max_upload_bytes, "heatmaps": settings.max_upload_bytes}
    async with claimed(uploads, owner, given) as before, receive(request, settings, limits, before) as upload:
        yield upload


async def capture_slot(request: Request) -> AsyncIterator[None]:
    """Wait for a turn, without holding a thread: poses and everything else are to be answered meanwhile."""
    slots: CapacityLimiter = request.app.state.capture_slots
    if slots.statistics().tasks_waiting >= MAX_WAITING:
        raise ServiceUnavailable(
            "Too many captures wait to be checked; send this one again later.", code="busy", retry_after_s=10
        )
    async with slots:
        yield


def room(target: TargetDep, database: DatabaseDep) -> Callable[[int], None]:
    """Refuse a capture before any of it is read where the caller's studio has no room left; a function to ask again."""

    def check(size_bytes: int | None = None) -> None:
        with database.read_session() as session:
            check_room(session, get_rig(session, target.id).studio, size_bytes)

    check()
    return check


CaptureUploadDep = Annotated[Upload, Depends(receive_capture, scope="function")]


@router.post(
    "/rigs/{rig_id}/captures",
    status_code=status.HTTP_201_CREATED,
    summary="Upload labelled frames",
    openapi_extra=UPLOAD_BODY,
    responses=responses(401, 404, 409, 413, 415, 422, 503, 507),
)
def create(
    *,
    target: TargetDep,
    database: DatabaseDep,
    artifacts: ArtifactsDep,
    settings: SettingsDep,
    backbone: BackboneDep,
    check_size: Annotated[Callable[[int], None], Depends(room)],
    upload: CaptureUploadDep,
    _slot: Annotated[None, Depends(capture_slot, scope="function")],
    response: Response,
) -> CaptureOut:
    """Checks labels and every frame against the rig, then seals them with a digest; no refusal leaves a capture."""
    checked = service.check(upload, target.rig, settings, backbone)
    check_size(checked.source.path.stat().st_size)  # before its bytes are kept
    stored = service.store(artifacts, checked)
    with database.session() as session:  # only now: checking and copying take long, and SQLite has one writer
        row = service.seal(session, artifacts, target.id, stored)
        answer = _answers(session, settings, [row])[0]
    response.headers["Location"] = f"/v1/captures/{row.id}"
    return answer


@router.get("/rigs/{rig_id}/captures", summary="List a rig's captures", responses=responses(401, 404, 422))
def list_captures(rig_id: Id, session: ReadSessionDep, settings: SettingsDep, page: PageDep) -> Page[CaptureOut]:
    """Newest first."""
    get_rig(session, rig_id)
    rows, cursor = repository.list_captures(session, rig_id, page)
    return Page[CaptureOut](items=_answers(session, settings, rows), next_cursor=cursor)


@router.get("/captures/{capture_id}", summary="Read a capture", responses=responses(401, 404))
def read(capture_id: Id, session: ReadSessionDep, settings: SettingsDep) -> CaptureOut:
    """What was sealed, and what its labels cover."""
    return _answers(session, settings, [repository.get_capture(session, capture_id)])[0]


@router.delete(
    "/captures/{capture_id}",
    summary="Purge a capture's frames and labels",
    openapi_extra=ADMIN,
    responses=responses(401, 403, 404, 409, 503),
)
def purge(capture_id: Id, database: DatabaseDep, artifacts: ArtifactsDep, settings: SettingsDep) -> CaptureOut:
    """The bytes are gone when this answers, unless another capture holds the same; the row stays, as a tombstone.

    Adaptations that wait for it fail; one that runs has to end first. Sent twice, it answers the same.
    """
    with database.session() as session:
        row = purging.purge(session, capture_id, "request")
    purging.erase(database, artifacts, [row])
    with database.read_session() as session:
        return _answers(session, settings, [row])[0]


def _answers(session: Session, settings: Settings, rows: Sequence[CaptureRow]) -> list[CaptureOut]:
    until = retention.keep_until(session, rows, settings)
    return [_answer(row, until[row.id]) for row in rows]


def _answer(row: CaptureRow, keep_until: datetime | None) -> CaptureOut:
    return CaptureOut(
        id=row.id,
        rig=row.rig_id,
        kind="images" if row.kind == "images" else "heatmaps",
        frames=row.frames,
        labelled_joints=row.labelled_joints,
        coverage=row.coverage,
        warnings=row.warnings,
        digest=row.digest,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        keep_until=keep_until,
        purged_at=row.purged_at,
    )

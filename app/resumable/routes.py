"""The endpoints of resumable uploads: tus 1.0 with creation, expiration and termination, and a list in JSON."""

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
import structlog
from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Request, Response, status

from app.access.principal import Principal
from app.auth import caller
from app.deps import SettingsDep
from app.errors import UnsupportedMedia, UploadTooLarge
from app.problems import responses
from app.resumable.protocol import (
    BODY,
    CONTENT_TYPE,
    EXTENSIONS,
    METADATA,
    STANDING,
    TUS_PARAMETER,
    VERSION,
    declared_sha256,
    header,
    require_version,
    standing,
)
from app.resumable.schemas import UploadList, UploadOut
from app.resumable.store import UploadStore
from app.resumable.writing import append
from app.wire import Id

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/uploads", tags=["uploads"])
_LONGEST_PAUSE_S = 600.0


def get_store(request: Request) -> UploadStore:
    """The application's resumable uploads."""
    return request.app.state.resumable


StoreDep = Annotated[UploadStore, Depends(get_store)]
OwnerDep = Annotated[Principal, Depends(caller)]
Tus = Depends(require_version)


@router.options("", status_code=204, summary="What of tus is spoken here", operation_id="describe_uploads")
def describe(settings: SettingsDep) -> Response:
    """Versions and extensions of the protocol, and the most bytes an upload may have."""
    headers = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(int(settings.max_upload_bytes))}
    return Response(status_code=204, headers=headers)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Begin an upload",
    dependencies=[Tus],
    openapi_extra=TUS_PARAMETER,
    responses={
        201: {"headers": STANDING | {"Location": header("where the bytes go")}},
        **responses(401, 412, 413, 422, 429, 507),
    },
)
def create_upload(
    *,
    store: StoreDep,
    owner: OwnerDep,
    settings: SettingsDep,
    upload_length: Annotated[int, Header(ge=1, le=2**53, description="bytes in all")],
    upload_metadata: Annotated[
        str,
        Header(
            max_length=1000,
            json_schema_extra={"pattern": METADATA},
            description="as in tus; a `sha256` (64 hex digits) is checked at the end",
        ),
    ] = "",
    response: Response,
) -> UploadOut:
    """Declare an upload; its bytes follow in one PATCH or in many."""
    if upload_length > settings.max_upload_bytes:
        raise UploadTooLarge(
            f"An upload may have {settings.max_upload_bytes:,} bytes at most.", at="header.upload-length"
        )
    pending = store.create(owner, upload_length, declared_sha256(upload_metadata), upload_metadata)
    response.headers.update(standing(pending) | {"Location": f"/v1/uploads/{pending.id}"})
    return UploadOut.of(pending)


@router.get("", summary="List uploads", responses=responses(401))
def list_uploads(store: StoreDep, owner: OwnerDep) -> UploadList:
    """Newest first; find by its `sha256` the one to go on with."""
    return UploadList(items=[UploadOut.of(pending) for pending in store.all(owner)])


@router.get("/{upload_id}", summary="Read an upload", responses=responses(401, 404))
def read_upload(upload_id: Id, store: StoreDep, owner: OwnerDep) -> UploadOut:
    """How far an upload is."""
    return UploadOut.of(store.find(owner, upload_id))


@router.head(
    "/{upload_id}",
    summary="Ask how far an upload is",
    dependencies=[Tus],
    openapi_extra=TUS_PARAMETER,
    response_class=Response,
    responses={200: {"headers": STANDING}, **responses(401, 404, 412)},
)
def ask_offset(upload_id: Id, store: StoreDep, owner: OwnerDep) -> Response:
    """`Upload-Offset` tells from where to go on."""
    pending = store.find(owner, upload_id)
    headers = standing(pending)
    if pending.declared.metadata:
        headers["Upload-Metadata"] = pending.declared.metadata
    return Response(headers=headers)


@router.patch(
    "/{upload_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Send bytes of an upload",
    dependencies=[Tus],
    openapi_extra=TUS_PARAMETER | BODY,
    responses={204: {"headers": STANDING}, **responses(401, 404, 409, 412, 413, 415, 422, 423, 507)},
)
async def append_bytes(
    *,
    request: Request,
    upload_id: Id,
    store: StoreDep,
    owner: OwnerDep,
    upload_offset: Annotated[int, Header(ge=0, le=2**53, description="where these bytes begin")],
) -> Response:
    """What came before a connection broke is kept; a second request at the same time is refused (423)."""
    if request.headers.get("content-type") != CONTENT_TYPE:
        raise UnsupportedMedia(f"Send the bytes as {CONTENT_TYPE}.", at="header.content-type")
    pending = await append(request, store, owner, upload_id, upload_offset)
    return Response(status_code=204, headers=standing(pending))


@router.delete(
    "/{upload_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="End an upload",
    dependencies=[Tus],
    openapi_extra=TUS_PARAMETER,
    responses=responses(401, 404, 412, 423),
)
def end_upload(upload_id: Id, store: StoreDep, owner: OwnerDep) -> None:
    """Remove what has come."""
    store.remove(owner, upload_id)


@asynccontextmanager
async def claimed(store: UploadStore, owner: Principal, given: Mapping[str, str]) -> AsyncIterator[dict[str, Path]]:
    """The files of finished uploads, by the part whose place each takes; they are gone where the block ends well."""
    with ExitStack() as stack:
        paths = {}
        for part, upload_id in given.items():
            claim = store.claimed(owner, upload_id, at=f"query.{part}_upload")
            paths[part] = await to_thread.run_sync(stack.enter_context, claim)
        yield paths


@asynccontextmanager
async def sweeping(store: UploadStore, expiry_s: float) -> AsyncIterator[None]:
    """Remove uploads whose time is over, as long as the block lasts."""

    async def sweep() -> None:
        while True:
            try:
                await to_thread.run_sync(store.sweep)
            except OSError as error:
                log.warning("uploads_not_swept", error=repr(error))
            await anyio.sleep(min(expiry_s / 4, _LONGEST_PAUSE_S))

    async with anyio.create_task_group() as group:
        group.start_soon(sweep)
        yield
        group.cancel_scope.cancel()

"""The endpoint of poses."""

from collections.abc import AsyncIterator
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.deps import BackboneDep, DatabaseDep, SettingsDep
from app.metrics import Metrics
from app.poses import answers, service
from app.poses.engines import Engines
from app.poses.repository import ACTIVE, find_fusion
from app.poses.schemas import (
    COVARIANCE_HELP,
    FRAMES_BODY,
    NPZ_MEDIA_TYPE,
    NPZ_SCHEMA,
    SMOOTHING_HELP,
    VIEW_HELP,
    Answer,
    Look,
    PosesOut,
    Smoothing,
    Triangulation,
)
from app.poses.takes import Take
from app.problems import responses
from app.rigs.routes import TargetDep
from app.uploads import Upload, receive

router = APIRouter(tags=["poses"])
_CHUNK = 1 << 18


async def receive_frames(request: Request, settings: SettingsDep) -> AsyncIterator[Upload]:
    """Stream the frames to disk; they are gone when the endpoint has returned."""
    limits = {"frames": settings.max_upload_bytes, "heatmaps": settings.max_upload_bytes}
    async with receive(request, settings, limits) as upload:
        yield upload


async def pose_slot(request: Request) -> AsyncIterator[None]:
    """Wait for a turn, without holding a thread: more frames at a time would only cost memory."""
    async with request.app.state.pose_slots:
        yield


def get_engines(request: Request) -> Engines:
    """The loaded engines."""
    return request.app.state.engines


def get_metrics(request: Request) -> Metrics:
    """The application's metrics."""
    return request.app.state.metrics


@router.post(
    "/rigs/{rig_id}/poses",
    summary="Fused 2D and 3D poses of synchronised frames",
    response_model=PosesOut,
    openapi_extra=FRAMES_BODY,
    responses={200: {"content": {NPZ_MEDIA_TYPE: {"schema": NPZ_SCHEMA}}}, **responses(401, 404, 409, 413, 415, 422)},
)
def poses(
    *,
    target: TargetDep,
    database: DatabaseDep,
    settings: SettingsDep,
    backbone: BackboneDep,
    engines: Annotated[Engines, Depends(get_engines)],
    metrics: Annotated[Metrics, Depends(get_metrics)],
    upload: Annotated[Upload, Depends(receive_frames, scope="function")],
    _slot: Annotated[None, Depends(pose_slot, scope="function")],
    checkpoint: Annotated[str, Query(max_length=40, description="active, none, epipolar, or an id")] = ACTIVE,
    answer: Annotated[Answer, Query(alias="return")] = Answer.POSES,
    triangulation: Annotated[Triangulation, Query()] = Triangulation.ROBUST,
    view: Annotated[Look, Query(description=VIEW_HELP)] = Look.AUTO,
    smoothing: Annotated[Smoothing, Query(description=SMOOTHING_HELP)] = Smoothing.NONE,
    fps: Annotated[float | None, Query(ge=1, le=1000, description="frames a second, for smoothing")] = None,
    covariance: Annotated[bool, Query(description=COVARIANCE_HELP)] = False,
) -> Response:
    """A rig without an active checkpoint is served without fusion, and `checkpoint` in the answer says `none`."""
    take = Take(smoothing, fps)
    with database.read_session() as session:
        fusion = find_fusion(session, target.id, target.active_checkpoint_id, checkpoint)
    asked = service.Asked(answer, triangulation.value, view)
    served = service.serve(upload, target.rig, fusion, asked, engines=engines, backbone=backbone, settings=settings)
    smoothed = take.smoothed(target.rig, served.frames, served.poses)
    metrics.pose_frames.labels(fusion.mode).inc(len(served.frames))
    if answer is Answer.HEATMAPS:
        return _FileStream(answers.write_npz(target.rig, served.frames, smoothed))
    return JSONResponse(
        {
            "rig": target.id,
            "checkpoint": fusion.name,
            "view": served.look.value,
            "joints": list(target.rig.skeleton.joints),
            "frames": answers.frames_as_json(target.rig, served.frames, smoothed, covariance=covariance),
        }
    )


class _FileStream(StreamingResponse):
    """Streams a file from its beginning and closes it, also where the client goes away before the end."""

    def __init__(self, file: IO[bytes]) -> None:
        size = file.tell()
        file.seek(0)
        headers = {"Content-Length": str(size), "Content-Disposition": 'attachment; filename="poses.npz"'}
        super().__init__(iter(lambda: file.read(_CHUNK), b""), media_type=NPZ_MEDIA_TYPE, headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()

"""The endpoint of poses."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import IO, Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from app.deps import BackboneDep, DatabaseDep, FramesQuotaDep, SettingsDep
from app.framesets import check_frames
from app.metrics import Metrics
from app.poses import answers, rig_serving, service
from app.poses.engines import Fusion
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
from app.poses.serving import Serving
from app.poses.stages import Stages
from app.poses.takes import Take
from app.problems import responses
from app.request_frames.routes import router as request_frames
from app.rigs.routes import Target, TargetDep
from app.uploads import Upload, receive

router = APIRouter(tags=["poses"])
router.include_router(rig_serving.router)
router.include_router(request_frames)
_CHUNK = 1 << 18


def get_serving(connection: HTTPConnection) -> Serving:
    """What serves poses in this process."""
    return connection.app.state.serving


ServingDep = Annotated[Serving, Depends(get_serving)]
StagesDep = Annotated[Stages, Depends(Stages)]


async def receive_frames(
    request: Request, settings: SettingsDep, serving: ServingDep, stages: StagesDep
) -> AsyncIterator[Upload]:
    """Stream the frames to disk; they are gone when the endpoint has returned."""
    limits = {"frames": settings.max_upload_bytes, "heatmaps": settings.max_upload_bytes}
    with serving.admission.body(request.headers.get("content-length", "")):
        async with receive(request, settings, limits) as upload:
            stages.ended("receive")
            yield upload


UploadDep = Annotated[Upload, Depends(receive_frames, scope="function")]


async def pose_turn(
    request: Request, serving: ServingDep, stages: StagesDep, _upload: UploadDep
) -> AsyncIterator[None]:
    """Wait for a turn, without holding a thread: more frames at a time would only cost memory."""
    async with serving.admission.turn(request.is_disconnected):
        stages.ended("wait")
        yield


def get_metrics(connection: HTTPConnection) -> Metrics:
    """The application's metrics."""
    return connection.app.state.metrics


@router.post(
    "/rigs/{rig_id}/poses",
    summary="Fused 2D and 3D poses of synchronised frames",
    response_model=PosesOut,
    openapi_extra=FRAMES_BODY,
    responses={
        200: {"content": {NPZ_MEDIA_TYPE: {"schema": NPZ_SCHEMA}}},
        **responses(401, 404, 409, 413, 415, 422, 429, 503),
    },
)
def poses(
    *,
    target: TargetDep,
    database: DatabaseDep,
    settings: SettingsDep,
    backbone: BackboneDep,
    serving: ServingDep,
    metrics: Annotated[Metrics, Depends(get_metrics)],
    upload: UploadDep,
    stages: StagesDep,
    take_frames: FramesQuotaDep,
    _turn: Annotated[None, Depends(pose_turn, scope="function")],
    checkpoint: Annotated[str, Query(max_length=40, description="active, none, epipolar, or an id")] = ACTIVE,
    answer: Annotated[Answer, Query(alias="return")] = Answer.POSES,
    triangulation: Annotated[Triangulation, Query()] = Triangulation.ROBUST,
    view: Annotated[Look, Query(description=VIEW_HELP)] = Look.AUTO,
    smoothing: Annotated[Smoothing, Query(description=SMOOTHING_HELP)] = Smoothing.NONE,
    fps: Annotated[float | None, Query(ge=1, le=1000, description="frames a second; only with smoothing")] = None,
    covariance: Annotated[bool, Query(description=COVARIANCE_HELP)] = False,
) -> Response:
    """A rig without an active checkpoint is served without fusion, and `checkpoint` in the answer says `none`."""
    take, asked = Take(smoothing, fps), service.Asked(answer, triangulation.value, view)
    source = check_frames(upload, target.rig, settings, settings.max_pose_frames)
    service.check_look(source, view)
    with database.read_session() as session:
        fusion = find_fusion(session, target.id, checkpoint)
    stages.ended("check")
    with serving.admission.memory.hold(service.footprint(source, target.rig, answer)):
        take_frames(len(source.frames))  # only now, that what was refused counts for nothing
        served = service.serve(source, target.rig, fusion, asked, serving=serving, backbone=backbone, stages=stages)
        stages.resume()
        served = replace(served, poses=take.smoothed(target.rig, served.frames, served.poses))
        response = _answer(target, fusion, served, answer, covariance=covariance)
    stages.ended("respond")
    metrics.pose_frames.labels(fusion.mode).inc(len(served.frames))
    stages.tell(lambda stage, seconds: metrics.pose_stage.labels(stage).observe(seconds))
    if checkpoint == ACTIVE:
        serving.attendant.served(target.id, fusion, len(served.frames), served.agreement)
    serving.keeper.offer(database, target.id, source, target.rig, fusion)
    return response


def _answer(target: Target, fusion: Fusion, served: service.Served, answer: Answer, *, covariance: bool) -> Response:
    if answer is Answer.HEATMAPS:
        return _FileStream(answers.write_npz(target.rig, served.frames, served.poses))
    return JSONResponse(
        {
            "rig": target.id,
            "checkpoint": fusion.name,
            "view": served.look.value,
            "joints": list(target.rig.skeleton.joints),
            "frames": answers.frames_as_json(
                target.rig, served.frames, served.poses, served.looks, covariance=covariance
            ),
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

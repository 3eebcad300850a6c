"""The endpoint of live frames."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import structlog
from anyio import create_task_group, sleep, to_thread
from fastapi import APIRouter, Depends, Query, WebSocket
from starlette.websockets import WebSocketState

from app import auth
from app.db import Database
from app.deps import BackboneDep, DatabaseDep, FramesQuotaDep, SettingsDep
from app.draining import Draining
from app.errors import Conflict, Forbidden, NotFound, Unauthorized
from app.live.stream import RESTART, End, LiveStream, Source, Wish
from app.metrics import Metrics
from app.poses.engines import Fusion
from app.poses.repository import ACTIVE, find_fusion
from app.poses.routes import ServingDep, get_metrics
from app.poses.schemas import Look, Smoothing, Triangulation
from app.poses.takes import Take
from app.rigs.repository import get_usable_rig
from app.rigs.routes import TargetDep
from app.settings import Settings
from models.errors import InvalidOptions, RigFuseError

log = structlog.get_logger(__name__)
router = APIRouter(tags=["poses"])

PROTOCOL = "rigfuse.live"
_CHECK_S = 5.0  # how often a stream's key, rig and checkpoint are looked at again
_CLOSING: dict[type[RigFuseError], int] = {Unauthorized: 4401, Forbidden: 4403, NotFound: 4404, Conflict: 4404}
CheckpointQuery = Annotated[str, Query(max_length=40)]


def get_wish(
    *,
    checkpoint: CheckpointQuery = ACTIVE,
    triangulation: Triangulation = Triangulation.ROBUST,
    view: Look = Look.AUTO,
    smoothing: Smoothing = Smoothing.NONE,
    fps: Annotated[float | None, Query(ge=1, le=1000)] = None,
    covariance: bool = False,
) -> Wish:
    """How the client wants its frames served."""
    if smoothing is Smoothing.SAVGOL:
        raise InvalidOptions("savgol looks ahead, which a stream cannot: use smoothing=causal.", at="query.smoothing")
    Take(smoothing, fps)
    return Wish(triangulation.value, view, smoothing, fps, covariance, follows=checkpoint == ACTIVE)


def get_fusion(
    target: TargetDep, database: DatabaseDep, serving: ServingDep, checkpoint: CheckpointQuery = ACTIVE
) -> Fusion:
    """What serves at first; loaded here, so that what cannot serve is told before the stream begins."""
    with database.read_session() as session:
        fusion = find_fusion(session, target.id, checkpoint)
    serving.engines.get(target.rig, fusion)
    return fusion


@router.websocket("/rigs/{rig_id}/live")
async def live(
    *,
    socket: WebSocket,
    target: TargetDep,
    database: DatabaseDep,
    settings: SettingsDep,
    backbone: BackboneDep,
    serving: ServingDep,
    metrics: Annotated[Metrics, Depends(get_metrics)],
    wish: Annotated[Wish, Depends(get_wish)],
    fusion: Annotated[Fusion, Depends(get_fusion)],
    take_frames: FramesQuotaDep,
) -> None:
    """A binary message a frame in, a JSON message a frame out; docs/live.md tells all of it."""
    source = Source(target.id, target.rig, database, serving, backbone, settings, metrics, take_frames)
    with serving.admission.stream(), serving.attendant.following(target.id):
        async with _folder(settings) as folder:
            kept = ACTIVE if wish.follows else fusion.name
            stream = LiveStream(socket, source, wish, fusion, folder)
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
            with metrics.live_connections.track_inprogress():
                end = await _first(
                    stream.run, lambda: _drained(socket), lambda: _disowned(socket, database, target.id, kept)
                )
            if socket.client_state is WebSocketState.CONNECTED:
                await socket.close(*end)
    log.info("live_ended", rig=target.id, code=end[0], frames=stream.came, dropped=stream.dropped)


@asynccontextmanager
async def _folder(settings: Settings) -> AsyncIterator[Path]:
    """Where a stream's frames lie while they are read, one at a time."""
    settings.uploads_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=settings.uploads_dir))
    try:
        yield folder
    finally:
        await to_thread.run_sync(shutil.rmtree, folder, True)


async def _first(*ways: Callable[[], Awaitable[End]]) -> End:
    """The way to end that comes first; the others are given up."""
    ends: list[End] = []
    async with create_task_group() as group:

        async def go(way: Callable[[], Awaitable[End]]) -> None:
            ends.append(await way())
            group.cancel_scope.cancel()

        for way in ways:
            group.start_soon(go, way)
    return ends[0]


async def _drained(socket: WebSocket) -> End:
    """The process is about to end."""
    draining: Draining = socket.app.state.draining
    await draining.wait()
    return RESTART, "the service restarts; connect again"


async def _disowned(socket: WebSocket, database: Database, rig_id: str, checkpoint: str) -> End:
    """The key was revoked, the rig archived, or the checkpoint purged; a database that is away ends no stream."""

    def check_rig() -> None:
        with database.read_session() as session:
            get_usable_rig(session, rig_id)
            find_fusion(session, rig_id, checkpoint)

    while True:
        await sleep(_CHECK_S)
        try:
            await auth.check_again(socket)
            await to_thread.run_sync(check_rig)
        except (Unauthorized, Forbidden, NotFound, Conflict) as error:
            return _CLOSING[type(error)], error.message[:100]
        except Exception as error:
            log.warning("live_not_checked", error=repr(error))

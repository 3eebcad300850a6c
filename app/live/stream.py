"""One stream of live frames: what comes waits in a short queue, and what is too late for it is dropped.

One task receives and one answers, so a slow engine or a slow reader never lets frames pile up: the oldest that waits
goes. Frames are served one at a time, each by the engine that is current when its turn comes; a newly active checkpoint
takes over between two frames, once its engine is loaded.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from anyio import create_task_group, to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.db import Database
from app.errors import ServiceUnavailable
from app.live.messages import Frame, check_frame, problem_message
from app.metrics import Metrics
from app.poses import answers, service
from app.poses.engines import Fusion
from app.poses.schemas import Answer, Look, Smoothing
from app.poses.serving import Serving
from app.poses.stages import Stages
from app.settings import Settings
from models.backbone import Backbone
from models.errors import RigFuseError
from models.rig import Rig
from models.runtime import Poses
from models.smoothing import CausalFilter, doubts

log = structlog.get_logger(__name__)

TOO_LARGE, RESTART, IDLE = 1009, 1012, 4408
End = tuple[int, str]
"""The code and the reason that a stream is closed with."""


@dataclass(frozen=True)
class Wish:
    """How a stream wants its frames served; ``follows`` what is active, or keeps the checkpoint it began with."""

    triangulation: str
    look: Look
    smoothing: Smoothing
    fps: float | None
    covariance: bool
    follows: bool


@dataclass(frozen=True)
class Source:
    """The rig that a stream is of, and what serves it."""

    rig_id: str
    rig: Rig
    database: Database
    serving: Serving
    backbone: Callable[[], Backbone]
    settings: Settings
    metrics: Metrics
    take_frames: Callable[[int], None]
    """Counts frames for the caller's key; raises where its quota is used up."""


class LiveStream:
    """The frames of one connection, from the first to the last."""

    def __init__(self, socket: WebSocket, source: Source, wish: Wish, fusion: Fusion, folder: Path) -> None:
        self._socket, self._source, self._wish, self._folder = socket, source, wish, folder
        self._fusion, self._began = fusion, time.monotonic()
        self._waiting: deque[Frame] = deque()
        self._came = asyncio.Event()
        self.came = self.dropped = 0
        self._tracker: CausalFilter | None = None
        self._last = -1  # sequence of the frame that was served last

    async def run(self) -> End:
        """Serve until the client goes, nothing has come for too long, or the process ends; the code to close with."""
        async with create_task_group() as group:
            group.start_soon(self._answer)
            try:
                end = await self._receive()
            except WebSocketDisconnect as gone:
                end = gone.code, ""
            group.cancel_scope.cancel()
        return end

    async def _receive(self) -> End:
        idle_s = self._source.settings.live_idle_s
        while True:
            try:
                async with asyncio.timeout(idle_s):
                    message = await self._socket.receive()
            except TimeoutError:
                return IDLE, f"no frame came for {idle_s:g} s"
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            if len(message.get("bytes") or b"") > self._source.settings.live_message_bytes:
                return TOO_LARGE, f"a message may have {self._source.settings.live_message_bytes:,} bytes"
            self._waiting.append(Frame(self.came, message.get("bytes"), time.monotonic()))
            self.came += 1
            if len(self._waiting) > self._source.settings.live_queue:
                self._waiting.popleft()
                self.dropped += 1
                self._source.metrics.live_frames.labels("dropped").inc()
            self._came.set()

    async def _answer(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                frame = self._waiting.popleft()
                message, outcome = await self._served(frame)
                self._source.metrics.live_frames.labels(outcome).inc()
                try:
                    await self._socket.send_json(message)
                except (WebSocketDisconnect, RuntimeError):  # the other task hears of it too, and ends the stream
                    return

    async def _served(self, frame: Frame) -> tuple[dict[str, Any], str]:
        try:
            async with self._source.serving.admission.turn(_never):
                return await to_thread.run_sync(self._poses, frame), "served"
        except RigFuseError as error:
            return problem_message(frame, self.dropped, error), "refused"
        except SQLAlchemyError as error:
            log.warning("live_frame_failed", rig=self._source.rig_id, error=repr(error))
            away = ServiceUnavailable("The database does not answer; send the next frame in a moment.")
            return problem_message(frame, self.dropped, away), "refused"

    def _poses(self, frame: Frame) -> dict[str, Any]:
        """The answer to one frame; raises RigFuseError."""
        source, wish, stages = self._source, self._wish, Stages()
        file = check_frame(frame, self._folder, source.rig, source.settings)
        service.check_look(file, wish.look)
        stages.ended("check")
        fusion = self._current()
        asked = service.Asked(Answer.POSES, wish.triangulation, wish.look)
        with source.serving.admission.memory.hold(service.footprint(file, source.rig, Answer.POSES)):
            source.take_frames(1)
            served = service.serve(
                file, source.rig, fusion, asked, serving=source.serving, backbone=source.backbone, stages=stages
            )
        stages.resume()
        message = self._told(frame, fusion, served)
        stages.ended("respond")
        stages.tell(lambda stage, seconds: source.metrics.pose_stage.labels(stage).observe(seconds))
        source.metrics.pose_frames.labels(fusion.mode).inc()
        if wish.follows:
            source.serving.attendant.served(source.rig_id, fusion, 1, served.agreement)
        source.serving.keeper.offer(source.database, source.rig_id, file, source.rig, fusion)
        return message

    def _current(self) -> Fusion:
        """What serves from this frame on: what is active, from the moment its engine is loaded."""
        if self._wish.follows:
            self._fusion = self._source.serving.attendant.ready(self._source.rig_id, self._began) or self._fusion
        return self._fusion

    def _told(self, frame: Frame, fusion: Fusion, served: service.Served) -> dict[str, Any]:
        poses = self._smoothed(frame, served.poses)
        rows = answers.frames_as_json(
            self._source.rig, served.frames, poses, served.looks, covariance=self._wish.covariance
        )
        return {
            "sequence": frame.sequence,
            "dropped": self.dropped,
            "checkpoint": fusion.name,
            **rows[0],
            "latency_ms": round(1000 * (time.monotonic() - frame.came_at), 2),
        }

    def _smoothed(self, frame: Frame, poses: Poses) -> Poses:
        """The joints in space after all frames so far; those that were dropped have passed all the same."""
        if self._wish.smoothing is Smoothing.NONE or self._wish.fps is None:
            return poses
        metres = self._source.rig.metres_per_unit
        tracker = self._tracker or CausalFilter.start(poses.pose3d.shape[1], self._wish.fps, metres)
        doubt = doubts(poses.pose3d, poses.covariance, metres)
        missed = frame.sequence - self._last - 1
        self._tracker, points = tracker.skip(missed).step(poses.pose3d[0], doubt[0])
        self._last = frame.sequence
        return replace(poses, pose3d=points[None])


async def _never() -> bool:
    return False

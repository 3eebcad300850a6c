"""A worker's surroundings: database, broker, artifacts, and a small capture to adapt to."""

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from job_rows import add_capture, add_job, add_rig

from app.artifacts import Artifacts
from app.captures.contents import Labels
from app.db import Database
from app.settings import Settings
from app.tables import WorkerRow
from models.adaptation import adapt
from models.checkpoint import Checkpoint
from models.fanout import Arrays, Spread
from models.geometry import view_to_image
from models.worlds import World, make_world, random_rig
from worker.context import WorkerContext


@pytest.fixture(scope="session")
def world() -> World:
    """Two cameras and sixteen frames."""
    rng = np.random.default_rng(5)
    return make_world(rng, random_rig(rng, 2), 16)


@pytest.fixture(scope="session")
def checkpoint(world: World) -> Checkpoint:
    """A real checkpoint, made once."""
    return adapt(world.rig, world.labelled(), options={"steps": 0})


@pytest.fixture
def context(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[WorkerContext]:
    """A worker's context on either database, with a broker database of its own and short times."""
    broker_url = redis_url.removesuffix("/0") + "/7"
    with redis.Redis.from_url(broker_url) as client:
        client.flushdb()
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, broker_url=broker_url, lease_s=5, heartbeat_s=0.1, sweep_s=0.1
    )
    made = WorkerContext.from_settings(settings)
    yield made
    made.stopping.set()
    made.queue.close()
    made.db.dispose()


@pytest.fixture
def engine(checkpoint: Checkpoint) -> Callable[..., Checkpoint]:
    """An engine that reports a little and answers the checkpoint that was made before."""

    def run(*_: Any, progress: Callable[[str, float], None], **__: Any) -> Checkpoint:
        progress("finetune", 0.5)
        return checkpoint

    return run


@pytest.fixture
def spreading(checkpoint: Checkpoint) -> Callable[..., Checkpoint]:
    """An engine of three short pieces of work, which answers the checkpoint that was made before."""

    def work(progress: Callable[[str, float], None], index: int) -> Arrays:
        for step in range(20):
            progress("finetune", step / 20)
            threading.Event().wait(0.001)
        return {"index": np.array([index])}

    def run(*_: Any, progress: Callable[[str, float], None], spread: Spread, **__: Any) -> Checkpoint:
        results = spread("width", [partial(work, progress, index) for index in range(3)])()
        assert [result["index"].item() for result in results] == [0, 1, 2]
        return checkpoint

    return run


@pytest.fixture
def fleet(context: WorkerContext, spreading: Callable[..., Checkpoint]) -> WorkerContext:
    """One of two workers that report themselves, to which every rig is large."""
    with context.db.session() as session:
        for name in ("a", "b"):
            session.add(WorkerRow(id=name, host="h", pid=1, version="1", device="cpu", store=""))
    return replace(context, engine=spreading, settings=context.settings.model_copy(update={"fan_out_cameras": 2}))


def add_world(database: Database, artifacts: Artifacts, world: World) -> str:
    """A queued job on the world's frames, stored as the API stores them; its id."""
    labelled = world.labelled()
    rig_id = add_rig(database, world.rig.to_dict())
    image = [
        view_to_image(camera, view, labelled.joints_view[:, index])
        for index, (camera, view) in enumerate(zip(world.rig.cameras, world.rig.views, strict=True))
    ]
    npz = io.BytesIO()
    cameras = np.array([camera.id for camera in world.rig.cameras])
    np.savez(npz, heatmaps=world.heatmaps.astype(np.float16), frames=np.array(labelled.frames), cameras=cameras)
    labels = Labels(labelled.frames, np.stack(image, axis=1), labelled.visibility)
    capture_id = add_capture(
        database,
        rig_id,
        labels_sha256=artifacts.put_bytes(labels.to_bytes()),
        source_sha256=artifacts.put_bytes(npz.getvalue()),
        frames=len(labelled.frames),
    )
    return add_job(database, rig_id, capture_id, options={"steps": 0})


@pytest.fixture
def job(context: WorkerContext, world: World) -> str:
    """A queued job on the small world."""
    return add_world(context.db, context.artifacts, world)

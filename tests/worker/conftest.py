"""A worker's surroundings: database, broker, artifacts, and a small capture to adapt to."""

import io
from collections.abc import Callable, Iterator
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
from models.adaptation import adapt
from models.checkpoint import Checkpoint
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
    made.db.upgrade()
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

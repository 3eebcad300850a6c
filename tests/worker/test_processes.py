"""Real workers, a real broker: what is urgent runs next, what comes often runs once, and workers are listed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from conftest import add_world
from job_rows import add_job, events_of, get_job
from sqlalchemy import func, select
from worker_processes import wait_until, workers

from app.adaptations.states import FINISHED, State
from app.queue import Priority
from app.settings import Settings
from app.tables import ActivationRow, AdaptationRow, CheckpointRow, WorkerRow
from app.workers import repository
from models.adaptation import adapt
from models.checkpoint import Checkpoint
from models.worlds import World, make_world, random_rig
from worker.context import WorkerContext


@pytest.fixture
def deployment(new_database_url: Callable[[str], str], redis_url: str, tmp_path: Path) -> Iterator[WorkerContext]:
    """What workers that are processes of their own share, and a broker database without messages."""
    broker_url = redis_url.removesuffix("/0") + "/8"
    with redis.Redis.from_url(broker_url) as client:
        client.flushdb()
    url = new_database_url("postgresql")
    made = WorkerContext.from_settings(Settings(data_dir=tmp_path, database_url=url, broker_url=broker_url))
    yield made
    made.queue.close()
    made.db.dispose()


def rows_of_workers(context: WorkerContext) -> list[WorkerRow]:
    with context.db.read_session() as session:
        return list(repository.list_workers(session))


def count(context: WorkerContext, what: type) -> int:
    with context.db.read_session() as session:
        return session.scalar(select(func.count()).select_from(what)) or 0


def all_over(context: WorkerContext) -> bool:
    with context.db.read_session() as session:
        return not set(session.scalars(select(AdaptationRow.state))) - FINISHED


@pytest.fixture(scope="module")
def large() -> World:
    """Three cameras, for who calls that large."""
    rng = np.random.default_rng(6)
    return make_world(rng, random_rig(rng, 3), 16)


def checkpoint_of(context: WorkerContext, job: str) -> Checkpoint:
    with context.db.read_session() as session:
        row = session.scalars(select(CheckpointRow).where(CheckpointRow.adaptation_id == job)).one()
    return Checkpoint.from_bytes(context.artifacts.read(row.artifact_sha256))


def test_two_workers_and_many_messages(deployment: WorkerContext, world: World, large: World) -> None:
    context = deployment
    jobs = [add_world(context.db, context.artifacts, world)]
    first = get_job(context.db, jobs[0])
    same = {"rig_id": first.rig_id, "capture_id": first.capture_id, "options": first.options}
    priorities = (Priority.BATCH, Priority.BATCH, Priority.INTERACTIVE)
    jobs += [add_job(context.db, **same, priority=priority) for priority in priorities]
    with context.db.session() as session:
        session.get_one(AdaptationRow, jobs[0]).priority = Priority.BATCH
    for job in jobs[:3]:
        for _ in range(5):  # each delivered five times
            context.queue.enqueue_adaptation(job, Priority.BATCH)
    context.queue.enqueue_adaptation(jobs[3], Priority.INTERACTIVE)

    with workers(context, 2, RIGFUSE_FAN_OUT_CAMERAS="3"):
        wait_until(lambda: len(rows_of_workers(context)) == 2)
        in_parts = add_world(context.db, context.artifacts, large)
        context.queue.enqueue_adaptation(in_parts, Priority.INTERACTIVE)
        wait_until(lambda: all_over(context))
        wait_until(lambda: context.queue.waiting() == 0)
        assert [repository.is_alive(row, 5, row.seen_at) for row in rows_of_workers(context)] == [True, True]
        assert {row.pid for row in rows_of_workers(context)} == {
            int(row.id.split("/")[2]) for row in rows_of_workers(context)
        }
    assert all(row.stopped_at is not None for row in rows_of_workers(context))

    rows = [get_job(context.db, job) for job in jobs]
    assert [row.state for row in rows] == [State.SUCCEEDED] * 4, [row.error for row in rows]
    assert rows[3].started_at is not None
    assert sum(row.started_at < rows[3].started_at for row in rows if row.started_at) <= 1  # the other worker's
    assert [event.kind for job in jobs for event in events_of(context.db, job)].count("running") == 4
    assert count(context, CheckpointRow) == 5
    rows.append(get_job(context.db, in_parts))
    promoted = sum(1 for row in rows if (row.metrics or {})["promoted"])
    assert count(context, ActivationRow) == promoted

    assert [event.kind for event in events_of(context.db, in_parts)].count("fanned_out") == 1
    whole = adapt(large.rig, large.labelled(), options={"steps": 0})
    made = checkpoint_of(context, in_parts)
    assert made.theta is not None
    assert whole.theta is not None
    assert np.abs(made.theta - whole.theta).max() < 1e-6
    assert np.abs(made.gains - whole.gains).max() < 1e-6

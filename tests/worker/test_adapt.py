"""Running an adaptation: what the engine does or says decides how the job ends, and it ends once."""

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from job_rows import events_of, get_job
from sqlalchemy import func, select

from app.adaptations import leases, service
from app.adaptations.leases import Lease
from app.adaptations.states import State
from app.tables import CheckpointRow
from models.checkpoint import Checkpoint
from models.errors import InsufficientLabels
from models.labelled import LabelledFrames
from models.rig import Rig
from models.worlds import World
from worker.adapt import run_adaptation
from worker.context import WorkerContext

Engine = Callable[..., Checkpoint]


def checkpoints(context: WorkerContext) -> int:
    with context.db.read_session() as session:
        return session.execute(select(func.count()).select_from(CheckpointRow)).scalar_one()


def test_the_engine_gets_what_was_uploaded(
    context: WorkerContext, job: str, world: World, checkpoint: Checkpoint
) -> None:
    given: dict[str, Any] = {}

    def engine(rig: Rig, labelled: LabelledFrames, **rest: Any) -> Checkpoint:
        given.update(rest, rig=rig, labelled=labelled)
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    expected = world.labelled()
    assert given["rig"].digest == world.rig.digest
    assert given["labelled"].frames == expected.frames
    np.testing.assert_allclose(given["labelled"].heatmaps, expected.heatmaps, atol=1e-3)
    np.testing.assert_allclose(given["labelled"].joints_view, expected.joints_view, atol=1e-6)
    np.testing.assert_array_equal(given["labelled"].visibility, expected.visibility)
    row = get_job(context.db, job)
    assert (given["method"], given["seed"], given["options"]) == (row.method, row.seed, row.options)
    assert given["device"] == "cpu"


def test_a_success_stores_bytes_that_load_again(
    context: WorkerContext, job: str, checkpoint: Checkpoint, engine: Engine
) -> None:
    run_adaptation(replace(context, engine=engine), job)
    row = get_job(context.db, job)
    assert row.state == State.SUCCEEDED
    assert row.metrics == checkpoint.metrics
    with context.db.read_session() as session:
        stored = session.get_one(CheckpointRow, row.checkpoint_id)
    data = context.artifacts.read(stored.artifact_sha256)
    assert len(data) == stored.size_bytes
    np.testing.assert_array_equal(Checkpoint.from_bytes(data).theta, checkpoint.theta)
    assert stored.manifest["digests"] == checkpoint.manifest()["digests"]
    assert (stored.promoted, stored.reason) == (checkpoint.promoted, checkpoint.metrics["reason"])


def test_the_real_engine_makes_a_checkpoint_of_the_stored_capture(context: WorkerContext, job: str) -> None:
    run_adaptation(context, job)
    row = get_job(context.db, job)
    assert row.state == State.SUCCEEDED, row.error
    assert {"no_fusion", "epipolar", "fused", "promoted", "reason"} <= set(row.metrics or {})


def test_a_second_delivery_does_nothing(context: WorkerContext, job: str, engine: Engine) -> None:
    worker = replace(context, engine=engine)
    for _ in range(3):
        run_adaptation(worker, job)
    assert checkpoints(context) == 1
    assert [event.kind for event in events_of(context.db, job)].count("running") == 1


def test_two_workers_with_one_message_each_run_it_once(
    context: WorkerContext, job: str, checkpoint: Checkpoint
) -> None:
    runs = []

    def engine(*_: Any, **__: Any) -> Checkpoint:
        runs.append(threading.get_ident())
        return checkpoint

    workers = [replace(context, engine=engine, owner=f"worker-{index}") for index in range(4)]
    threads = [threading.Thread(target=run_adaptation, args=(worker, job)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1
    assert checkpoints(context) == 1


def test_a_domain_error_ends_the_job_at_once_and_is_told(context: WorkerContext, job: str) -> None:
    def engine(*_: Any, **__: Any) -> Checkpoint:
        raise InsufficientLabels("Only 3 frames are labelled.", at="labels")

    run_adaptation(replace(context, engine=engine), job)
    row = get_job(context.db, job)
    assert (row.state, row.attempt) == (State.FAILED, 1)
    code = "insufficient_labels"
    assert row.error == {"code": code, "detail": "Only 3 frames are labelled.", "cause": code}
    assert context.queue.waiting() == 0


def test_an_artifact_that_is_gone_ends_the_job(context: WorkerContext, job: str, engine: Engine) -> None:
    for path in context.artifacts.root.rglob("?" * 64):
        path.unlink()
    run_adaptation(replace(context, engine=engine), job)
    assert (get_job(context.db, job).error or {})["code"] == "corrupt_artifact"


def test_an_unexpected_error_is_tried_again_and_then_told(context: WorkerContext, job: str) -> None:
    def engine(*_: Any, **__: Any) -> Checkpoint:
        raise ZeroDivisionError("division by zero")

    worker = replace(context, engine=engine)
    for attempt in (1, 2):
        run_adaptation(worker, job)
        row = get_job(context.db, job)
        assert (row.state, row.attempt) == (State.QUEUED, attempt)
        assert context.queue.waiting() == attempt  # a worker was woken for the next attempt
    run_adaptation(worker, job)
    row = get_job(context.db, job)
    assert row.state == State.FAILED
    assert row.error is not None
    assert row.error["code"] == "attempts_exhausted"
    assert "ZeroDivisionError: division by zero" in row.error["detail"]
    assert checkpoints(context) == 0


def test_a_request_to_cancel_stops_the_engine(context: WorkerContext, job: str, checkpoint: Checkpoint) -> None:
    steps = []

    def engine(*_: Any, progress: Callable[[str, float], None], **__: Any) -> Checkpoint:
        for step in range(2000):
            if step == 3:
                with context.db.session() as session:
                    service.cancel(session, job)
            steps.append(step)
            progress("finetune", step / 2000)
            threading.Event().wait(0.005)
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    assert get_job(context.db, job).state == State.CANCELLED
    assert len(steps) < 1000
    assert checkpoints(context) == 0


def test_a_request_to_cancel_that_comes_last_still_counts(
    context: WorkerContext, job: str, checkpoint: Checkpoint
) -> None:
    def engine(*_: Any, **__: Any) -> Checkpoint:
        with context.db.session() as session:
            service.cancel(session, job)
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    assert get_job(context.db, job).state == State.CANCELLED
    assert checkpoints(context) == 0


def test_a_worker_that_is_stopped_gives_the_job_back(context: WorkerContext, job: str, checkpoint: Checkpoint) -> None:
    def engine(*_: Any, progress: Callable[[str, float], None], **__: Any) -> Checkpoint:
        context.stopping.set()
        progress("finetune", 0.5)
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    row = get_job(context.db, job)
    assert (row.state, row.attempt, row.lease_owner) == (State.QUEUED, 0, None)
    assert context.queue.waiting() == 1


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_an_exit_gives_the_job_back_too(context: WorkerContext, job: str, stop: type[BaseException]) -> None:
    def engine(*_: Any, **__: Any) -> Checkpoint:
        raise stop

    with pytest.raises(stop):
        run_adaptation(replace(context, engine=engine), job)
    assert get_job(context.db, job).state == State.QUEUED


def test_a_worker_that_was_given_up_for_dead_stops_and_records_nothing(
    context: WorkerContext, job: str, checkpoint: Checkpoint
) -> None:
    steps = []

    def take_over() -> None:
        taken = False
        while not taken:  # the heartbeat may renew the lease between a look and a grasp
            row = get_job(context.db, job)
            assert row.lease_owner is not None
            assert row.lease_expires_at is not None
            with context.db.session() as session:
                taken = leases.reclaim(session, job, Lease(row.lease_owner, row.lease_expires_at), "too slow", 3)
        with context.db.session() as session:
            assert leases.claim(session, job, "another worker", 30)

    def engine(*_: Any, progress: Callable[[str, float], None], **__: Any) -> Checkpoint:
        take_over()
        for step in range(2000):
            steps.append(step)
            progress("finetune", 0.5)
            threading.Event().wait(0.005)
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    row = get_job(context.db, job)
    assert (row.state, row.lease_owner) == (State.RUNNING, "another worker")
    assert len(steps) < 1000
    assert checkpoints(context) == 0


def renewed(context: WorkerContext, job: str) -> datetime | None:
    """When the lease ends once it was renewed, or as before where nothing renews it."""
    before, deadline = get_job(context.db, job).lease_expires_at, time.monotonic() + 20
    while (now := get_job(context.db, job).lease_expires_at) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    return now


def test_a_long_silence_of_the_engine_does_not_lose_the_lease(
    context: WorkerContext, job: str, checkpoint: Checkpoint
) -> None:
    first = []

    def engine(*_: Any, **__: Any) -> Checkpoint:
        first.append(get_job(context.db, job).lease_expires_at)
        first.append(renewed(context, job))
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    assert first[1] > first[0]  # the heartbeat renewed it
    assert get_job(context.db, job).state == State.SUCCEEDED


def test_a_slow_store_does_not_lose_the_lease(
    context: WorkerContext, job: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, put = [], context.artifacts.put_bytes

    def slowly(data: bytes) -> str:
        seen.append(get_job(context.db, job).lease_expires_at)
        seen.append(renewed(context, job))
        return put(data)

    monkeypatch.setattr(context.artifacts, "put_bytes", slowly)
    run_adaptation(replace(context, engine=engine), job)
    assert seen[1] > seen[0]
    assert get_job(context.db, job).state == State.SUCCEEDED


def test_a_lease_is_renewed_again_after_no_connection_was_free(
    context: WorkerContext, job: str, checkpoint: Checkpoint
) -> None:
    seen = []

    def engine(*_: Any, progress: Callable[[str, float], None], **__: Any) -> Checkpoint:
        pool: Any = context.db.engine.pool
        pool._timeout = 0.05
        with ExitStack() as held:
            for _ in range(pool.size() + pool._max_overflow):
                held.enter_context(closing(pool.connect()))
            progress("finetune", 0.5)  # is missed
            threading.Event().wait(0.5)
        seen.append(get_job(context.db, job).lease_expires_at)
        seen.append(renewed(context, job))
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    assert seen[1] > seen[0]
    assert get_job(context.db, job).state == State.SUCCEEDED


def test_progress_is_written_at_most_twice_a_second(context: WorkerContext, job: str, checkpoint: Checkpoint) -> None:
    def engine(*_: Any, progress: Callable[[str, float], None], **__: Any) -> Checkpoint:
        for step in range(100):
            progress("finetune", step / 100)
            threading.Event().wait(0.01)
        return checkpoint

    run_adaptation(replace(context, engine=engine), job)
    reports = [event for event in events_of(context.db, job) if event.kind == "progress"]
    assert 2 <= len(reports) <= 8
    times = [event.created_at for event in reports]
    assert min((b - a).total_seconds() for a, b in itertools.pairwise(times)) > 0.4

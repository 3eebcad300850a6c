"""An adaptation whose store is full or away: told as such, tried again later, and done once the store is well."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from job_rows import events_of, get_job

from app.adaptations.states import State
from app.artifacts import ArtifactStore
from models.checkpoint import Checkpoint
from worker.adapt import run_adaptation, run_next
from worker.context import WorkerContext


@pytest.mark.parametrize("small_disk", [8], indirect=True)
def test_a_full_store_fails_the_attempt_and_not_the_job(
    context: WorkerContext, job: str, engine: Callable[..., Checkpoint], small_disk: Path
) -> None:
    worker = replace(context, artifacts=ArtifactStore(small_disk.as_uri()), engine=engine)
    for stored in context.artifacts.list():
        worker.artifacts.put_bytes(context.artifacts.read(stored.sha256))
    before = {path for path in small_disk.rglob("*") if path.is_file()}
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(8 << 20))
    run_adaptation(worker, job)
    row = get_job(context.db, job)
    assert (row.state, row.attempt, row.checkpoint_id) == (State.QUEUED, 1, None)
    assert "storage_full" in events_of(context.db, job)[-1].data["reason"]
    assert context.queue.waiting() == 0  # not at once: the disk would still be full
    assert {path for path in small_disk.rglob("*") if path.is_file()} == before | {ballast}

    ballast.unlink()
    run_adaptation(worker, job)
    row = get_job(context.db, job)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 2)


def test_a_store_that_is_away_fails_the_attempt_and_not_the_job(
    context: WorkerContext, job: str, engine: Callable[..., Checkpoint]
) -> None:
    assert isinstance(context.artifacts, ArtifactStore)
    worker, root = replace(context, engine=engine), context.artifacts.root
    away = root.rename(root.with_suffix(".away"))
    for _ in range(5):
        run_next(worker, job)  # what cannot but fail is not begun
    assert (get_job(context.db, job).state, get_job(context.db, job).attempt) == (State.QUEUED, 0)
    run_adaptation(worker, job)
    assert (get_job(context.db, job).state, get_job(context.db, job).attempt) == (State.QUEUED, 1)
    assert "service_unavailable" in events_of(context.db, job)[-1].data["reason"]
    assert not root.exists()

    away.rename(root)
    run_next(worker, job)
    assert (get_job(context.db, job).state, get_job(context.db, job).attempt) == (State.SUCCEEDED, 2)

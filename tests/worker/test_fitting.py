"""Memory is looked at before a job is taken: what does not fit waits or fails, and says so."""

from dataclasses import replace
from pathlib import Path

import pytest
from job_rows import events_of, get_job
from sqlalchemy import select

from app.adaptations.states import State
from app.tables import AdaptationPartRow, WorkerRow
from models.checkpoint import Checkpoint
from worker.adapt import run_next
from worker.context import WorkerContext
from worker.memory import Memory, _container, _machine, device_memory, within
from worker.parts import run_part

MB = 1 << 20


def with_memory(context: WorkerContext, limit: int) -> WorkerContext:
    return replace(context, settings=context.settings.model_copy(update={"worker_memory": limit}))


def reasons(context: WorkerContext, job: str) -> list[str]:
    return [event.data["reason"] for event in events_of(context.db, job) if event.kind == "waiting"]


def test_what_fits_no_worker_fails_with_a_sentence(context: WorkerContext, job: str) -> None:
    run_next(with_memory(context, 100 * MB), job)
    row = get_job(context.db, job)
    assert (row.state, row.attempt) == (State.FAILED, 0)
    assert row.error is not None
    assert row.error["code"] == "insufficient_memory"
    assert "metafuse of 2 cameras and 16 frames needs about" in row.error["detail"]
    assert "may use 104 MB of its cpu" in row.error["detail"]


def test_what_fits_another_worker_waits_for_it_and_says_so_once(
    context: WorkerContext, job: str, checkpoint: Checkpoint
) -> None:
    with context.db.session() as session:
        large = WorkerRow(
            id="large", host="h", pid=1, version="1", device="cpu", store="", memory_total=1 << 40, memory_free=0
        )
        session.add(large)
    small = with_memory(context, 100 * MB)
    for _ in range(3):
        run_next(small, job)
    row = get_job(context.db, job)
    assert (row.state, row.attempt) == (State.QUEUED, 0)
    (reason,) = reasons(context, job)
    assert "it waits for more" in reason
    run_next(replace(context, engine=lambda *_, **__: checkpoint), job)  # there is more now
    assert get_job(context.db, job).state == State.SUCCEEDED


def test_a_job_that_waits_holds_up_no_other(context: WorkerContext, job: str, checkpoint: Checkpoint) -> None:
    """The job that is too large is older than one that fits."""
    with context.db.session() as session:
        session.add(WorkerRow(id="x", host="h", pid=1, version="1", device="cpu", store="", memory_total=1 << 40))
        large = session.get_one(type(get_job(context.db, job)), job)
        same = {"rig_id": large.rig_id, "capture_id": large.capture_id, "options": {}, "state": State.QUEUED, "seed": 0}
        session.add(type(large)(id="ada_small", method="epipolar", **same))
    run_next(replace(with_memory(context, 150 * MB), engine=lambda *_, **__: checkpoint), job)
    assert get_job(context.db, job).state == State.QUEUED
    assert get_job(context.db, "ada_small").state == State.SUCCEEDED


def test_a_part_is_left_to_a_worker_with_room(fleet: WorkerContext, job: str) -> None:
    run_next(fleet, job)
    run_part(with_memory(fleet, 100 * MB), job, 0)
    with fleet.db.read_session() as session:
        states = list(session.scalars(select(AdaptationPartRow.state).order_by(AdaptationPartRow.number)))
    assert states == ["queued"] * 3
    run_part(fleet, job, 0)
    with fleet.db.read_session() as session:
        assert session.scalar(select(AdaptationPartRow.state).where(AdaptationPartRow.number == 0)) == "done"


def test_the_memory_of_machine_and_container(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    600 kB\nHugePages_Total:       0\n")
    assert _machine(meminfo) == Memory(1_024_000, 614_400)
    assert _container(tmp_path) == Memory(None, None)
    for name, value in (("max", "500000"), ("current", "400000"), ("stat", "anon 1\ninactive_file 100000\n")):
        (tmp_path / f"memory.{name}").write_text(value)
    assert _container(tmp_path) == Memory(500_000, 200_000)
    assert within(_machine(meminfo), _container(tmp_path)) == Memory(500_000, 200_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert _container(tmp_path) == Memory(None, None)


@pytest.mark.parametrize("limit", [None, 5 * MB])
def test_what_may_be_used_is_bounded_by_the_setting(limit: int | None) -> None:
    memory = device_memory("cpu", limit)
    assert memory.total is not None
    assert memory.free is not None
    assert 0 < memory.free <= memory.total
    assert limit is None or memory == Memory(limit, limit)


def test_what_torch_keeps_for_its_next_work_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (10 * MB, 80 * MB))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: 50 * MB)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda: 5 * MB)
    assert device_memory("cuda") == Memory(80 * MB, 55 * MB)

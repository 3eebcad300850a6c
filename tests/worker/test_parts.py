"""A large rig's adaptation in parts: any worker takes any part, and whatever dies, it ends once and as in one piece."""

from dataclasses import replace

import pytest
from job_rows import events_of, get_job
from sqlalchemy import select, update

from app import totals
from app.adaptations import leases, parts, service
from app.adaptations.parts import DONE, PARTS, QUEUED
from app.adaptations.states import State
from app.queue import JobQueue
from app.tables import AdaptationPartRow, WorkerRow, utc_now
from models.checkpoint import Checkpoint
from worker.adapt import gather, run_adaptation
from worker.context import WorkerContext
from worker.parts import _tend_one, run_part
from worker.sweeper import sweep

PIECES = ["width/0", "width/1", "width/2"]


def rows(context: WorkerContext) -> list[AdaptationPartRow]:
    with context.db.read_session() as session:
        return list(session.scalars(select(AdaptationPartRow).order_by(AdaptationPartRow.number)))


def work_on_all(context: WorkerContext, job: str) -> None:
    for row in rows(context):
        run_part(context, job, row.number)


def test_it_ends_as_in_one_piece_whoever_works_and_however_often_it_is_told(fleet: WorkerContext, job: str) -> None:
    assert run_adaptation(fleet, job)
    row = get_job(fleet.db, job)
    assert (row.state, row.lease_owner, row.stage) == (State.RUNNING, PARTS, "parts")
    assert [part.work["piece"] for part in rows(fleet)] == PIECES
    assert fleet.queue.waiting() == len(PIECES)  # the chord's

    gather(fleet, job)  # told too early
    other = replace(fleet, owner="another worker")
    for number in (2, 0, 0, 1):
        run_part(other, job, number)
    assert {part.state for part in rows(fleet)} == {DONE}
    assert [event.data.get("done") for event in events_of(fleet.db, job) if event.kind == "progress"][-3:] == [1, 2, 3]
    for _ in range(3):
        gather(fleet, job)
    row = get_job(fleet.db, job)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 1), row.error
    assert "parts" in (row.stage_seconds or {})
    assert rows(fleet) == []
    assert [event.kind for event in events_of(fleet.db, job)].count("succeeded") == 1
    assert get_job(fleet.db, job).checkpoint_id is not None
    told = [event.data["progress"] for event in events_of(fleet.db, job)]
    assert told == sorted(told)


def test_a_worker_that_is_alone_does_all_of_it(fleet: WorkerContext, job: str) -> None:
    with fleet.db.session() as session:
        session.execute(update(WorkerRow).where(WorkerRow.id == "a").values(stopped_at=utc_now()))
    run_adaptation(fleet, job)
    assert get_job(fleet.db, job).state == State.SUCCEEDED


@pytest.fixture
def fanned_out(fleet: WorkerContext, job: str) -> str:
    """A job whose first part is claimed by a worker that is dead already, and that no message tells of any more."""
    run_adaptation(fleet, job)
    with fleet.db.session() as session:
        assert parts.claim(session, job, 0, "elsewhere", -1) is not None
    fleet.queue._celery.control.purge()
    return job


def let_time_pass(fleet: WorkerContext) -> WorkerContext:
    """The same worker, to which every lease that it saw once has been silent for long."""
    return replace(fleet, settings=fleet.settings.model_copy(update={"lease_s": 1e-9}))


def test_what_the_broker_lost_is_sent_again_part_by_part_and_gathered(fleet: WorkerContext, fanned_out: str) -> None:
    sweep(fleet)
    assert fleet.queue.waiting() == len(PIECES) - 1  # one is believed to be in good hands
    sweep(let_time_pass(fleet))
    assert [part.state for part in rows(fleet)] == [QUEUED] * 3
    fleet.queue._celery.control.purge()
    sweep(fleet)
    assert fleet.queue.waiting() == len(PIECES)
    work_on_all(fleet, fanned_out)
    fleet.queue._celery.control.purge()
    sweep(fleet)
    assert fleet.queue.waiting() == 1  # to gather
    gather(fleet, fanned_out)
    row = get_job(fleet.db, fanned_out)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 1)


def test_a_part_whose_last_worker_was_only_silent_ends_nothing(fleet: WorkerContext, fanned_out: str) -> None:
    with fleet.db.session() as session:
        session.execute(update(AdaptationPartRow).values(state=QUEUED, attempt=fleet.settings.max_attempts - 1))
        held = parts.claim(session, fanned_out, 0, "elsewhere", 60)
    assert held is not None
    with fleet.db.read_session() as session:
        ((job, rows),) = parts.of_waiting(session)
    with fleet.db.session() as session:
        parts.renew(session, held, 60)  # after the sweep looked
    _tend_one(fleet, job, rows, {f"{fanned_out}/0"})
    assert get_job(fleet.db, fanned_out).state == State.RUNNING
    with fleet.db.session() as session:
        assert parts.finish(session, held, "0" * 64) is False


def test_a_part_that_kills_its_workers_ends_the_job(fleet: WorkerContext, fanned_out: str) -> None:
    for _ in range(fleet.settings.max_attempts):
        sweep(let_time_pass(fleet))  # the lease is seen
        sweep(let_time_pass(fleet))  # and seen to be silent
        with fleet.db.session() as session:
            parts.claim(session, fanned_out, 0, "elsewhere", -1)
    row = get_job(fleet.db, fanned_out)
    assert row.state == State.FAILED
    assert (row.error or {})["code"] == "attempts_exhausted"
    assert "part 0 (width/0)" in (row.error or {})["detail"]


def test_who_gathers_and_dies_is_followed_by_an_attempt_that_uses_the_parts(fleet: WorkerContext, job: str) -> None:
    run_adaptation(fleet, job)
    work_on_all(fleet, job)
    with fleet.db.session() as session:
        assert parts.take_up(session, job, "elsewhere", -1) is not None
        assert parts.take_up(session, job, "another", -1) is None
    row = get_job(fleet.db, job)
    assert row.lease_expires_at is not None
    with fleet.db.session() as session:
        lease = leases.Lease("elsewhere", row.lease_expires_at)
        assert leases.reclaim(session, job, lease, "The worker died.", 3)
    run_adaptation(fleet, job)
    row = get_job(fleet.db, job)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 2)
    assert [event.kind for event in events_of(fleet.db, job)].count("fanned_out") == 1


@pytest.mark.parametrize("how", ["by the sweep", "by who works on a part"])
def test_it_is_cancelled_while_no_process_holds_it(fleet: WorkerContext, fanned_out: str, how: str) -> None:
    with fleet.db.session() as session:
        service.cancel(session, fanned_out)
    if how == "by the sweep":
        sweep(fleet)
    else:
        run_part(replace(fleet, settings=fleet.settings.model_copy(update={"heartbeat_s": 0.001})), fanned_out, 1)
    assert get_job(fleet.db, fanned_out).state == State.CANCELLED
    run_part(fleet, fanned_out, 2)
    gather(fleet, fanned_out)
    assert get_job(fleet.db, fanned_out).state == State.CANCELLED


@pytest.mark.usefixtures("fanned_out")
def test_a_broker_that_is_away_does_not_stop_the_sweep(fleet: WorkerContext) -> None:
    sweep(replace(fleet, queue=JobQueue("redis://127.0.0.1:9/0")))
    with fleet.db.read_session() as session:
        assert totals.read(session, totals.LAST_SWEEP)


def test_a_worker_that_is_stopped_gives_its_part_back(fleet: WorkerContext, fanned_out: str) -> None:
    fleet.stopping.set()
    run_part(fleet, fanned_out, 1)
    part = rows(fleet)[1]
    assert (part.state, part.attempt, part.owner) == (QUEUED, 0, None)
    assert fleet.queue.waiting() == 1


def test_a_part_that_fails_fails_the_attempt_and_the_next_one_uses_the_others(fleet: WorkerContext, job: str) -> None:
    run_adaptation(fleet, job)
    run_part(fleet, job, 2)

    def broken(*_: object, **__: object) -> Checkpoint:
        raise ZeroDivisionError("division by zero")

    run_part(replace(fleet, engine=broken), job, 1)
    row = get_job(fleet.db, job)
    assert (row.state, row.attempt) == (State.QUEUED, 1)
    run_adaptation(fleet, job)
    assert [part.state for part in rows(fleet)] == [QUEUED, QUEUED, DONE]

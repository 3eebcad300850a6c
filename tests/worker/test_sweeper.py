"""The sweeper: dead workers' jobs are queued again, lost messages are sent again, and nothing piles up."""

import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from job_rows import add_job, events_of, get_job

from app.adaptations import leases
from app.adaptations.states import State
from app.queue import JobQueue
from app.tables import utc_now
from worker.context import WorkerContext
from worker.identity import own_identity
from worker.sweeper import Sweeper, sweep


def claim(context: WorkerContext, owner: str, lease_s: float) -> str:
    job = add_job(context.db)
    with context.db.session() as session:
        assert leases.claim(session, job, owner, lease_s)
    return job


def impatient(context: WorkerContext) -> WorkerContext:
    """The same worker where leases are short."""
    return replace(context, settings=context.settings.model_copy(update={"lease_s": 0.05}))


def sweep_until_silent(context: WorkerContext) -> None:
    """Sweep, let a short lease's time pass without a heartbeat, and sweep again."""
    sweep(context)
    time.sleep(2 * context.settings.lease_s)
    sweep(context)


def dead_owner() -> str:
    """The name of a process of this machine that has ended."""
    code = "from worker.identity import own_identity; print(own_identity())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_job_whose_worker_is_silent_is_queued_and_sent(context: WorkerContext) -> None:
    job = claim(context, "elsewhere", lease_s=1000)  # whatever that worker's clock made of it
    sweep_until_silent(impatient(context))
    assert get_job(context.db, job).state == State.QUEUED
    assert events_of(context.db, job)[-1].data["reason"] == "The worker did not answer in time."
    assert context.queue.waiting() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells that a process is dead")
def test_a_job_of_a_dead_process_is_queued_at_once(context: WorkerContext) -> None:
    job = claim(context, dead_owner(), lease_s=1000)
    sweep(context)
    assert get_job(context.db, job).state == State.QUEUED
    assert events_of(context.db, job)[-1].data["reason"] == "The worker died."


@pytest.mark.parametrize("owner", ["elsewhere", own_identity()], ids=["elsewhere", "here"])
def test_a_job_in_good_hands_is_left_alone(context: WorkerContext, owner: str) -> None:
    job = claim(context, owner, lease_s=-1000)  # the holder's clock is behind, but it has only just been heard
    sweep(context)
    sweep(context)
    row = get_job(context.db, job)
    assert (row.state, row.lease_owner) == (State.RUNNING, owner)
    assert context.queue.waiting() == 0


def test_the_last_attempt_of_a_dying_worker_ends_the_job(context: WorkerContext) -> None:
    job = add_job(context.db, attempt=2)
    with context.db.session() as session:
        assert leases.claim(session, job, "elsewhere", 60)
    sweep_until_silent(impatient(context))
    row = get_job(context.db, job)
    assert row.state == State.FAILED
    assert (row.error or {})["code"] == "attempts_exhausted"


def test_lost_messages_are_sent_once_however_often_it_sweeps(context: WorkerContext) -> None:
    jobs = [add_job(context.db) for _ in range(3)]
    for _ in range(5):
        sweep(context)
    assert context.queue.waiting() == len(jobs)


def test_a_broker_that_is_away_does_not_stop_the_rest(context: WorkerContext) -> None:
    job = claim(context, "elsewhere", lease_s=60)
    cut_off = replace(impatient(context), queue=JobQueue("redis://127.0.0.1:9/0"))
    sweep_until_silent(cut_off)
    assert get_job(context.db, job).state == State.QUEUED
    sweep(context)
    assert context.queue.waiting() == 1


def test_it_sweeps_when_it_starts_and_ends_when_told(context: WorkerContext) -> None:
    job = claim(context, "elsewhere", lease_s=60)
    sweeper = Sweeper(impatient(context))
    sweeper.start()
    for _ in range(600):
        if get_job(context.db, job).state == State.QUEUED:
            break
        context.stopping.wait(0.05)
    assert get_job(context.db, job).state == State.QUEUED
    context.stopping.set()
    sweeper.join(30)
    assert not sweeper.is_alive()


def test_the_clock_of_a_lease_is_in_utc(context: WorkerContext) -> None:
    job = claim(context, "elsewhere", lease_s=60)
    expires = get_job(context.db, job).lease_expires_at
    assert expires is not None
    assert abs(expires - utc_now() - timedelta(seconds=60)) < timedelta(seconds=5)

"""Claims, leases and ends of adaptations: whatever happens in whatever order, a job ends once."""

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from job_rows import add_job, events_of, get_job
from sqlalchemy import func, select

from app.adaptations import finish, leases, service
from app.adaptations.finish import Result
from app.adaptations.leases import Claim, Lease, LeaseLost
from app.adaptations.states import FINISHED, MOVES, IllegalMove, State, move
from app.db import Database
from app.errors import Conflict
from app.tables import ActivationRow, CheckpointRow, RigRow, utc_now
from models.errors import Cancelled

RESULT = Result("a" * 64, 10, {"method": "metafuse"}, {"promoted": True}, promoted=True, reason="better")
NOT_PROMOTED = Result("b" * 64, 10, {}, {"promoted": False}, promoted=False, reason="not better")
LEASE_S = 30.0


def claim(database: Database, job: str, owner: str = "worker-1") -> Claim | None:
    with database.session() as session:
        return leases.claim(session, job, owner, LEASE_S)


def claimed(database: Database, owner: str = "worker-1") -> Claim:
    held = claim(database, add_job(database), owner)
    assert held is not None
    return held


def checkpoints_of(database: Database, job: str) -> int:
    with database.read_session() as session:
        query = select(func.count()).select_from(CheckpointRow).where(CheckpointRow.adaptation_id == job)
        return session.execute(query).scalar_one()


@pytest.mark.parametrize("source", State)
@pytest.mark.parametrize("target", State)
def test_a_move_is_made_or_refused_as_the_table_says(
    new_database_url: Callable[[str], str], source: State, target: State
) -> None:
    database = Database(new_database_url("sqlite"))
    job = add_job(database, state=source)
    with database.session() as session:
        if target in MOVES[source]:
            assert move(session, job, source, target)
        else:
            with pytest.raises(IllegalMove):
                move(session, job, source, target)
    assert get_job(database, job).state == (target if target in MOVES[source] else source)
    database.dispose()


def test_a_claim_takes_a_queued_job_once(database: Database) -> None:
    job = add_job(database)
    held = claim(database, job)
    assert held == Claim(job, "worker-1", 1)
    assert claim(database, job, "worker-2") is None
    row = get_job(database, job)
    assert (row.state, row.lease_owner, row.attempt) == (State.RUNNING, "worker-1", 1)
    assert row.lease_expires_at is not None
    assert timedelta(seconds=LEASE_S - 5) < row.lease_expires_at - utc_now() <= timedelta(seconds=LEASE_S)


def test_of_many_workers_that_claim_at_once_one_gets_the_job(database: Database) -> None:
    job, count = add_job(database), 8
    together, results = threading.Barrier(count), list[Claim | None]()

    def contend(index: int) -> None:
        together.wait()
        results.append(claim(database, job, f"worker-{index}"))

    threads = [threading.Thread(target=contend, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [result for result in results if result is not None]
    assert len(results) == count
    assert len(winners) == 1
    assert get_job(database, job).lease_owner == winners[0].owner
    assert [event.kind for event in events_of(database, job)] == ["running"]


def test_a_claim_of_an_unknown_job_is_none(database: Database) -> None:
    assert claim(database, "ada_0") is None


def test_reports_are_rows_and_events(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        assert leases.report(session, held, "finetuning", 0.25, 12.0) is False
    row = get_job(database, held.adaptation_id)
    assert (row.stage, row.progress, row.eta_s) == ("finetuning", 0.25, 12.0)
    event = events_of(database, held.adaptation_id)[-1]
    assert event.kind == "progress"
    assert event.data == {"state": "running", "stage": "finetuning", "progress": 0.25, "eta_s": 12.0, "attempt": 1}


def test_a_worker_that_lost_its_lease_can_do_nothing(database: Database) -> None:
    old = claimed(database)
    with database.session() as session:
        assert leases.fail_attempt(session, old, "broken", max_attempts=3)
    new = claim(database, old.adaptation_id, "worker-1")  # even the same worker, in its next attempt
    assert new is not None
    with database.session() as session, pytest.raises(LeaseLost):
        leases.renew(session, old, LEASE_S)
    with database.session() as session, pytest.raises(LeaseLost):
        leases.report(session, old, "finetuning", 0.9, None)
    with pytest.raises(LeaseLost), database.session() as session:
        finish.succeed(session, old, RESULT)
    with database.session() as session:
        assert not leases.fail(session, old, "code", "detail")
        assert not leases.give_back(session, old)
        assert not leases.cancel(session, old)
    assert get_job(database, old.adaptation_id).state == State.RUNNING
    assert checkpoints_of(database, old.adaptation_id) == 0


def test_success_is_recorded_whole_and_once(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        checkpoint = finish.succeed(session, held, RESULT)
    with pytest.raises(LeaseLost), database.session() as session:
        finish.succeed(session, held, RESULT)
    row = get_job(database, held.adaptation_id)
    assert (row.state, row.progress, row.checkpoint_id) == (State.SUCCEEDED, 1.0, checkpoint)
    assert row.metrics == {"promoted": True}
    assert (row.lease_owner, row.lease_expires_at) == (None, None)
    assert row.finished_at is not None
    assert checkpoints_of(database, row.id) == 1
    with database.read_session() as session:
        assert session.get_one(RigRow, row.rig_id).active_checkpoint_id == checkpoint
        (activation,) = session.scalars(select(ActivationRow).where(ActivationRow.rig_id == row.rig_id))
        assert (activation.checkpoint_id, activation.action) == (checkpoint, "promoted")
    last = events_of(database, row.id)[-1]
    assert (last.kind, last.data["checkpoint"], last.data["promoted"]) == ("succeeded", checkpoint, True)


def test_what_is_not_promoted_does_not_serve(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        finish.succeed(session, held, NOT_PROMOTED)
    with database.read_session() as session:
        rig = session.get_one(RigRow, get_job(database, held.adaptation_id).rig_id)
        assert rig.active_checkpoint_id is None
        assert session.scalars(select(ActivationRow).where(ActivationRow.rig_id == rig.id)).all() == []


def test_an_archived_rig_gets_its_checkpoint_but_does_not_serve_with_it(database: Database) -> None:
    held = claimed(database)
    rig_id = get_job(database, held.adaptation_id).rig_id
    with database.session() as session:
        session.get_one(RigRow, rig_id).archived_at = utc_now()
    with database.session() as session:
        finish.succeed(session, held, RESULT)
    with database.read_session() as session:
        assert session.get_one(RigRow, rig_id).active_checkpoint_id is None
    assert checkpoints_of(database, held.adaptation_id) == 1


def test_attempts_are_bounded_and_each_has_its_reason(database: Database) -> None:
    job = add_job(database)
    for attempt in (1, 2, 3):
        held = claim(database, job)
        assert held is not None
        assert held.attempt == attempt
        with database.session() as session:
            assert leases.fail_attempt(session, held, f"reason {attempt}", max_attempts=3, cause="broken")
    row = get_job(database, job)
    assert row.state == State.FAILED
    assert row.error == {
        "code": "attempts_exhausted",
        "detail": "The adaptation failed 3 times. The last time: reason 3",
        "cause": "broken",
    }
    reasons = [event.data["reason"] for event in events_of(database, job) if "reason" in event.data]
    assert reasons == ["reason 1", "reason 2", "reason 3"]
    assert claim(database, job) is None


def test_giving_back_is_not_an_attempt(database: Database) -> None:
    job = add_job(database)
    for _ in range(5):
        held = claim(database, job)
        assert held is not None
        assert held.attempt == 1
        with database.session() as session:
            assert leases.give_back(session, held)
    assert get_job(database, job).state == State.QUEUED


def test_a_reclaim_does_nothing_when_the_lease_was_renewed_meanwhile(database: Database) -> None:
    held = claimed(database)
    row = get_job(database, held.adaptation_id)
    assert row.lease_expires_at is not None
    seen = Lease("worker-1", row.lease_expires_at)
    with database.session() as session:
        leases.renew(session, held, LEASE_S)
    with database.session() as session:
        assert not leases.reclaim(session, row.id, seen, "too late", 3)
    assert get_job(database, row.id).state == State.RUNNING


def test_a_reclaimed_job_is_queued_again_with_the_reason(database: Database) -> None:
    held = claimed(database)
    row = get_job(database, held.adaptation_id)
    assert row.lease_expires_at is not None
    with database.session() as session:
        assert leases.reclaim(session, row.id, Lease("worker-1", row.lease_expires_at), "The worker died.", 3)
    again = claim(database, row.id, "worker-2")
    assert again is not None
    assert again.attempt == 2
    assert events_of(database, row.id)[-2].data["reason"] == "The worker died."


def test_cancelling_a_running_job_asks_the_worker(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        assert service.cancel(session, held.adaptation_id).state == State.RUNNING
    with database.session() as session:
        assert leases.renew(session, held, LEASE_S) is True
    with pytest.raises(Cancelled), database.session() as session:
        finish.succeed(session, held, RESULT)
    with database.session() as session:
        assert leases.cancel(session, held)
    assert get_job(database, held.adaptation_id).state == State.CANCELLED
    assert checkpoints_of(database, held.adaptation_id) == 0


def test_a_cancelled_job_is_not_queued_again_when_its_worker_dies(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        service.cancel(session, held.adaptation_id)
    with database.session() as session:
        assert leases.fail_attempt(session, held, "broken", max_attempts=3)
    assert get_job(database, held.adaptation_id).state == State.CANCELLED


class Job(RuleBasedStateMachine):
    """Several workers, a sweeper and a person act on one job in any order."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.job = add_job(database)
        self.claims: list[Claim] = []

    @rule(owner=st.sampled_from(["worker-1", "worker-2"]))
    def claim(self, owner: str) -> None:
        held = claim(self.database, self.job, owner)
        if held is not None:
            self.claims.append(held)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), what=st.sampled_from(["report", "renew", "succeed", "fail", "retry", "give back", "cancel"]))
    def work(self, data: st.DataObject, what: str) -> None:
        held = data.draw(st.sampled_from(self.claims))
        acts = {
            "report": lambda s: leases.report(s, held, "finetuning", 0.5, None),
            "renew": lambda s: leases.renew(s, held, LEASE_S),
            "succeed": lambda s: finish.succeed(s, held, RESULT),
            "fail": lambda s: leases.fail(s, held, "code", "detail"),
            "retry": lambda s: leases.fail_attempt(s, held, "reason", 3),
            "give back": lambda s: leases.give_back(s, held),
            "cancel": lambda s: leases.cancel(s, held),
        }
        try:
            with self.database.session() as session:
                acts[what](session)
        except (LeaseLost, Cancelled):
            pass

    @rule()
    def sweep(self) -> None:
        row = get_job(self.database, self.job)
        if row.lease_owner and row.lease_expires_at:
            with self.database.session() as session:
                lease = Lease(row.lease_owner, row.lease_expires_at)
                assert leases.reclaim(session, self.job, lease, "The worker died.", 3)

    @rule()
    def ask_to_cancel(self) -> None:
        finished = get_job(self.database, self.job).state in FINISHED
        with self.database.session() as session:
            if finished:
                with pytest.raises(Conflict):
                    service.cancel(session, self.job)
            else:
                service.cancel(session, self.job)

    @invariant()
    def the_row_is_consistent(self) -> None:
        row = get_job(self.database, self.job)
        assert (row.lease_owner is not None) == (row.state == State.RUNNING)
        assert (row.lease_expires_at is not None) == (row.state == State.RUNNING)
        assert (row.finished_at is not None) == (row.state in FINISHED)
        assert (row.error is not None) == (row.state == State.FAILED)
        assert 0 <= row.attempt <= 3

    @invariant()
    def the_events_are_a_legal_path_to_where_it_is(self) -> None:
        states = [State(e.kind) for e in events_of(self.database, self.job) if e.kind in set(State)]
        path = [State.QUEUED, *states]
        assert all(after in MOVES[before] for before, after in itertools.pairwise(path))
        assert path[-1] == get_job(self.database, self.job).state

    @invariant()
    def there_is_a_checkpoint_exactly_when_it_succeeded(self) -> None:
        row = get_job(self.database, self.job)
        expected = 1 if row.state == State.SUCCEEDED else 0
        assert checkpoints_of(self.database, self.job) == expected
        assert (row.checkpoint_id is not None) == bool(expected)


def test_whatever_happens_in_whatever_order_the_job_stays_consistent(new_database_url: Callable[[str], str]) -> None:
    database = Database(new_database_url("sqlite"))
    options = hypothesis_settings(max_examples=40, stateful_step_count=15, deadline=None)
    run_state_machine_as_test(lambda: Job(database), settings=options)  # type: ignore[no-untyped-call]
    database.dispose()

"""Parts of large adaptations: sent to all workers as a chord, worked on by whoever is free, and gathered again.

The rows are the truth here too. A part or the gathering that was sent twice is worked on once; what the broker lost the
sweep sends again; and the adaptation goes on when all parts are done, however that was told.
"""

from collections.abc import Callable
from contextlib import suppress

import structlog
from sqlalchemy.orm import Session

from app.adaptations import leases, parts
from app.adaptations.leases import Claim, Lease
from app.adaptations.parts import DONE, QUEUED, RUNNING, PartClaim
from app.keeping import keep
from app.tables import AdaptationPartRow, AdaptationRow
from models.fanout import Arrays, Needed, PieceDone, to_bytes
from worker.attempt import Attempt
from worker.computing import HEATMAPS, Computation
from worker.context import WorkerContext
from worker.endings import told_endings
from worker.fitting import has_room
from worker.identity import is_dead
from worker.telling import telling

log = structlog.get_logger()


class PartAttempt(Attempt):
    """Keeps the claim on a part, and with it that of the adaptation; how far it is, the parts done tell."""

    def __init__(self, context: WorkerContext, held: PartClaim) -> None:
        super().__init__(context, held.job)
        self._held = held

    def _write_report(self, session: Session, stage: str, fraction: float, eta: float | None) -> bool:  # noqa: ARG002
        return False

    def _keep_lease(self, session: Session, lease_s: float) -> bool:
        return parts.renew(session, self._held, lease_s)


def fan_out(context: WorkerContext, attempt: Attempt, computation: Computation, needed: Needed) -> None:
    """Send the pieces that are needed to the workers, and let go of the adaptation until they are done."""
    claim, heatmaps = attempt.claim, computation.heatmaps()
    done = {} if heatmaps is None else {HEATMAPS: context.artifacts.put_bytes(heatmaps)}
    with context.db.session() as session:
        numbers = parts.fan_out(
            session,
            claim,
            needed.pieces,
            done=done,
            made_by=computation.made_by,
            lease_s=context.settings.lease_s,
            seconds=attempt.clock.seconds(),
        )
        again = {sha256: lambda: context.artifacts.put_bytes(heatmaps or b"") for sha256 in done.values()}
        keep(session, context.artifacts, again)
        job = session.get_one(AdaptationRow, claim.adaptation_id)
    log.info("fanned out", parts=len(numbers))
    context.queue.fan_out(job.id, numbers, job.priority)


def run_part(context: WorkerContext, adaptation_id: str, number: int) -> None:
    """Work on a part to its end; does nothing where it is not queued, so a message may come twice."""
    if not has_room(context, adaptation_id):
        log.info("no memory for a part now", id=adaptation_id, part=number)  # the sweep sends it again
        return
    if not context.has_store():
        return
    with context.db.session() as session:
        held = parts.claim(session, adaptation_id, number, context.owner, context.settings.lease_s)
    if held is None:
        log.info("no part to claim", id=adaptation_id, part=number)
        return
    with telling(context.db, held.job), context.working_on(adaptation_id):
        log.info("part claimed", part=number, piece=held.piece)
        _work(context, held)


def _work(context: WorkerContext, held: PartClaim) -> None:
    attempt = PartAttempt(context, held)
    with told_endings(context, attempt, lambda: _give_back(context, held)):
        with attempt:
            data = to_bytes(_result(Computation(context, attempt, held.piece)))
            attempt.check()
            sha256 = context.artifacts.put_bytes(data)
        with context.db.session() as session:
            parts.finish(session, held, sha256)
            keep(session, context.artifacts, {sha256: lambda: context.artifacts.put_bytes(data)})
        log.info("part done", part=held.number)


def _result(computation: Computation) -> Arrays:
    try:
        computation.run()
    except PieceDone as done:
        return done.result
    raise RuntimeError("the adaptation came to its end without the piece of work that was asked for")


def _give_back(context: WorkerContext, held: PartClaim) -> None:
    with context.db.session() as session:
        given = parts.give_back(session, held)
        job = session.get_one(AdaptationRow, held.job.adaptation_id)
    if given:
        context.queue.enqueue_part(job.id, held.number, job.priority)


def take_up(context: WorkerContext, adaptation_id: str, run: Callable[[Claim, dict[str, float]], None]) -> None:
    """Go on with an adaptation whose parts are done, by ``run(claim, seconds spent)``; one worker does."""
    with context.db.session() as session:
        taken = parts.take_up(session, adaptation_id, context.owner, context.settings.lease_s)
    if taken is None:
        log.info("nothing to gather", id=adaptation_id)
        return
    claim, spent = taken
    with telling(context.db, claim), context.working_on(adaptation_id):
        log.info("parts gathered")
        run(claim, spent)


def tend(context: WorkerContext) -> None:
    """Queue parts of dead workers again, send what the broker lost, and see cancellations through."""
    with context.db.read_session() as session:
        waiting = parts.of_waiting(session)
    held = [(_id(row), _lease(row)) for _, rows in waiting for row in rows]
    watched = [(part, lease) for part, lease in held if lease is not None]
    silent = context.parts_watch.silent(watched, context.settings.lease_s)
    for job, rows in waiting:
        with suppress(leases.LeaseLost):  # it went on meanwhile
            _tend_one(context, job, rows, silent)


def _tend_one(context: WorkerContext, job: AdaptationRow, rows: list[AdaptationPartRow], silent: set[str]) -> None:
    with context.db.session() as session:
        if leases.renew(session, parts.waiting(job), context.settings.lease_s):
            leases.cancel(session, parts.waiting(job))
            return
    for row in rows:
        lease = _lease(row)
        if lease is not None and (is_dead(lease.owner) or _id(row) in silent):
            _reclaim(context, job, row, lease)
    if not context.queue.is_idle():
        return  # the workers are busy, or nobody can be called
    for row in rows:
        if row.state == QUEUED:
            context.queue.enqueue_part(job.id, row.number, job.priority)
    if all(row.state == DONE for row in rows):
        context.queue.enqueue_gather(job.id, job.priority)


def _reclaim(context: WorkerContext, job: AdaptationRow, row: AdaptationPartRow, lease: Lease) -> None:
    with context.db.session() as session:
        leases.renew(session, parts.waiting(job), context.settings.lease_s)  # locks the adaptation, then the part
        if not parts.reclaim(session, row, lease):
            return  # its worker was only silent
        if row.attempt >= context.settings.max_attempts:
            reason = f"The worker of part {row.number} ({row.work['piece']}) died."
            leases.fail_attempt(session, parts.waiting(job), reason, job.attempt, cause="worker_died")
    log.warning("part reclaimed", adaptation=job.id, part=row.number, owner=lease.owner)


def _lease(row: AdaptationPartRow) -> Lease | None:
    if row.state != RUNNING or row.owner is None or row.lease_expires_at is None:
        return None
    return Lease(row.owner, row.lease_expires_at)


def _id(row: AdaptationPartRow) -> str:
    return f"{row.adaptation_id}/{row.number}"

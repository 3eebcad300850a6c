"""Finds what was left behind: adaptations whose worker died, and queued ones whose message was lost.

Every worker sweeps, at its start and then now and again. Sweeps of several workers do not disturb each other: taking
an adaptation from a dead owner is one conditional UPDATE, and a message too many wakes a worker for nothing.
"""

import threading
import time

import structlog
from sqlalchemy import select

from app import totals
from app.adaptations import leases
from app.adaptations.leases import Lease
from app.adaptations.parts import PARTS
from app.adaptations.states import State
from app.tables import AdaptationRow
from app.workers import repository
from worker.context import WorkerContext
from worker.identity import is_dead
from worker.parts import tend

_BATCH = 200

log = structlog.get_logger()


class Sweeper(threading.Thread):
    """Sweeps in the background until the worker stops."""

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._context = context

    def run(self) -> None:
        """Sweep, wait, and again."""
        while True:
            try:
                sweep(self._context)
            except Exception:  # whatever it was, such as a database that restarts, the next sweep tries again
                log.exception("sweep failed")
            if self._context.stopping.wait(self._context.settings.sweep_s):
                return


def sweep(context: WorkerContext) -> None:
    """Queue again what dead workers left running, send what the broker does not have, and forget old workers."""
    held = _leases(context)
    silent = context.watch.silent(held, context.settings.lease_s)
    for adaptation_id, lease in held:
        if is_dead(lease.owner):
            _reclaim(context, adaptation_id, lease, "The worker died.", "worker_died")
        elif adaptation_id in silent:
            _reclaim(context, adaptation_id, lease, "The worker did not answer in time.", "worker_silent")
    _send_again(context)
    tend(context)
    _note_the_dead(context)


def _note_the_dead(context: WorkerContext) -> None:
    with context.db.read_session() as session:
        rows = repository.list_workers(session)
    dead = [row.id for row in rows if row.stopped_at is None and is_dead(row.id)]
    with context.db.session() as session:
        for worker_id in dead:
            repository.stopped(session, worker_id)
        repository.forget_old(session)
        totals.put(session, totals.LAST_SWEEP, time.time())


def _leases(context: WorkerContext) -> list[tuple[str, Lease]]:
    query = select(AdaptationRow.id, AdaptationRow.lease_owner, AdaptationRow.lease_expires_at).where(
        AdaptationRow.state == State.RUNNING, AdaptationRow.lease_owner != PARTS
    )
    with context.db.read_session() as session:
        return [(id_, Lease(owner, until)) for id_, owner, until in session.execute(query) if owner and until]


def _reclaim(context: WorkerContext, adaptation_id: str, lease: Lease, reason: str, cause: str) -> None:
    limit = context.settings.max_attempts
    with context.db.session() as session:
        taken = leases.reclaim(session, adaptation_id, lease, reason, limit, cause=cause)
    if taken:
        log.warning("adaptation reclaimed", adaptation=adaptation_id, owner=lease.owner, reason=reason)


def _send_again(context: WorkerContext) -> None:
    """Send all queued adaptations when no message waits.

    While messages wait, the workers are busy and nothing is gained; and so messages cannot pile up.
    """
    query = (
        select(AdaptationRow.id, AdaptationRow.priority)
        .where(AdaptationRow.state == State.QUEUED)
        .order_by(AdaptationRow.created_at)
    )
    with context.db.read_session() as session:
        queued = [(row.id, row.priority) for row in session.execute(query.limit(_BATCH))]
    if not queued or not context.queue.is_idle():
        return
    if all(context.queue.enqueue_adaptation(id_, priority) for id_, priority in queued):
        log.info("queued adaptations sent", count=len(queued))

"""The worker's side of an adaptation: claim it, keep it, report on it, and let go of it.

A lease says who runs an adaptation and until when. Every write of the worker holds only while the lease does, so that
a worker which was given up for dead can neither report nor finish what another one has taken over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from app import totals
from app.adaptations.attempts import Ending, Outcome
from app.adaptations.priority import Priority
from app.adaptations.states import State, change, move, record
from app.tables import AdaptationRow, utc_now

_UNTOLD: Mapping[str, float] = {}


@dataclass(frozen=True)
class Claim:
    """The right of one process to run one attempt."""

    adaptation_id: str
    owner: str
    attempt: int


@dataclass(frozen=True)
class Lease:
    """Who runs an adaptation, and until when that is believed."""

    owner: str
    expires_at: datetime


class LeaseLost(Exception):
    """Another process runs this adaptation now, or none should."""


def most_urgent(session: Session, limit: int) -> list[str]:
    """Queued adaptations in the order in which they are to run: interactive ones first, then the oldest."""
    later = case((AdaptationRow.priority == Priority.INTERACTIVE, 0), else_=1)
    query = select(AdaptationRow.id).where(AdaptationRow.state == State.QUEUED)
    return list(session.scalars(query.order_by(later, AdaptationRow.created_at, AdaptationRow.id).limit(limit)))


def claim(session: Session, adaptation_id: str, owner: str, lease_s: float) -> Claim | None:
    """Take a queued adaptation; None where it is not there to be taken."""
    now = utc_now()
    before = session.scalar(select(AdaptationRow.attempt).where(AdaptationRow.id == adaptation_id))
    if before is None:
        return None
    held = Claim(adaptation_id, owner, before + 1)
    taken = move(
        session,
        adaptation_id,
        State.QUEUED,
        State.RUNNING,
        AdaptationRow.attempt == before,
        event={"stage": "starting", "progress": 0.0, "attempt": held.attempt},
        stage="starting",
        progress=0.0,
        eta_s=None,
        attempt=held.attempt,
        lease_owner=owner,
        lease_expires_at=now + timedelta(seconds=lease_s),
        started_at=func.coalesce(AdaptationRow.started_at, now),
    )
    return held if taken else None


def renew(session: Session, held: Claim, lease_s: float) -> bool:
    """Keep the lease for another ``lease_s`` seconds and say whether a cancellation was asked for; raises LeaseLost."""
    expires = utc_now() + timedelta(seconds=lease_s)
    if not change(session, held.adaptation_id, holds(held), lease_expires_at=expires):
        raise LeaseLost(held.adaptation_id)
    return _cancel_requested(session, held)


def report(session: Session, held: Claim, stage: str, progress: float, eta_s: float | None) -> bool:
    """Say how far the attempt is; answers whether a cancellation was asked for, raises LeaseLost."""
    if not change(session, held.adaptation_id, holds(held), stage=stage, progress=forward(progress), eta_s=eta_s):
        raise LeaseLost(held.adaptation_id)
    told = {"stage": stage, "progress": progress_of(session, held.adaptation_id), "eta_s": eta_s}
    data = {"state": State.RUNNING, **told, "attempt": held.attempt}
    record(session, held.adaptation_id, "progress", data)
    return _cancel_requested(session, held)


def forward(progress: float) -> ColumnElement[float]:
    """``progress``, or what the attempt has told before where that is more: who goes on after its parts starts anew."""
    return case((AdaptationRow.progress > progress, AdaptationRow.progress), else_=progress)


def progress_of(session: Session, adaptation_id: str) -> float:
    """How far an adaptation is."""
    return session.execute(select(AdaptationRow.progress).where(AdaptationRow.id == adaptation_id)).scalar_one()


def give_back(session: Session, held: Claim, seconds: Mapping[str, float] = _UNTOLD) -> bool:
    """Let go of an adaptation without having failed at it: the attempt does not count."""
    ending = Ending(Outcome.GIVEN_BACK, "The worker was stopped.", seconds=seconds)
    return _let_go(session, held.adaptation_id, holds(held), ending, attempts_left=True, refund=1)


def fail(session: Session, held: Claim, code: str, detail: str, seconds: Mapping[str, float] = _UNTOLD) -> bool:
    """End the adaptation: another attempt would fail in the same way."""
    ending = Ending(Outcome.FAILED, detail, code, seconds)
    return _fail(session, held.adaptation_id, holds(held), ending, {"code": code, "detail": detail})


def cancel(session: Session, held: Claim, seconds: Mapping[str, float] = _UNTOLD) -> bool:
    """End the adaptation because a person asked for it."""
    return _cancel(session, held.adaptation_id, holds(held), seconds)


def fail_attempt(
    session: Session,
    held: Claim,
    reason: str,
    max_attempts: int,
    *,
    cause: str = "error",
    seconds: Mapping[str, float] = _UNTOLD,
) -> bool:
    """Queue the adaptation again, or end it when this was the last attempt."""
    ending = Ending(Outcome.FAILED, reason, cause, seconds)
    return _let_go(session, held.adaptation_id, holds(held), ending, attempts_left=held.attempt < max_attempts)


def reclaim(
    session: Session, adaptation_id: str, seen: Lease, reason: str, max_attempts: int, *, cause: str = "worker_lost"
) -> bool:
    """Take a running adaptation from an owner that lives no more; False where its lease is not as it was ``seen``."""
    unchanged = and_(
        AdaptationRow.state == State.RUNNING,
        AdaptationRow.lease_owner == seen.owner,
        AdaptationRow.lease_expires_at == seen.expires_at,
    )
    query = select(AdaptationRow.attempt).where(AdaptationRow.id == adaptation_id)
    attempt = session.execute(query).scalar_one()
    ending = Ending(Outcome.RECLAIMED, reason, cause)
    return _let_go(session, adaptation_id, unchanged, ending, attempts_left=attempt < max_attempts)


def holds(held: Claim) -> ColumnElement[bool]:
    """The condition under which a claim is still good."""
    return and_(
        AdaptationRow.state == State.RUNNING,
        AdaptationRow.lease_owner == held.owner,
        AdaptationRow.attempt == held.attempt,
    )


def _cancel_requested(session: Session, held: Claim) -> bool:
    query = select(AdaptationRow.cancel_requested).where(AdaptationRow.id == held.adaptation_id)
    return session.execute(query).scalar_one()


def _let_go(
    session: Session,
    adaptation_id: str,
    condition: ColumnElement[bool],
    ending: Ending,
    *,
    attempts_left: bool,
    refund: int = 0,
) -> bool:
    # The row is locked first, so that a cancellation cannot slip in between the question and the move.
    query = select(AdaptationRow.cancel_requested, AdaptationRow.attempt).where(AdaptationRow.id == adaptation_id)
    cancel_requested, attempt = session.execute(query.with_for_update()).one()
    if cancel_requested:
        return _cancel(session, adaptation_id, condition, ending.seconds)
    if not attempts_left:
        detail = f"The adaptation failed {attempt} times. The last time: {ending.reason}"
        error = {"code": "attempts_exhausted", "detail": detail}
        return _fail(session, adaptation_id, condition, ending, error)
    return _end(
        session,
        adaptation_id,
        State.QUEUED,
        condition,
        ending,
        event={"stage": "queued", "progress": 0.0},
        stage="queued",
        progress=0.0,
        attempt=attempt - refund,
    )


def _cancel(session: Session, adaptation_id: str, condition: ColumnElement[bool], seconds: Mapping[str, float]) -> bool:
    ending = Ending(Outcome.CANCELLED, "cancelled by request", seconds=seconds)
    return _end(session, adaptation_id, State.CANCELLED, condition, ending, stage="cancelled", finished_at=utc_now())


def _fail(
    session: Session, adaptation_id: str, condition: ColumnElement[bool], ending: Ending, error: Mapping[str, str]
) -> bool:
    error = {**error, "cause": ending.cause}
    failed = _end(
        session,
        adaptation_id,
        State.FAILED,
        condition,
        ending,
        event={"error": error},
        stage="failed",
        error=error,
        finished_at=utc_now(),
    )
    if failed:
        totals.add(session, totals.FAILURES, ending.cause, 1)
    return failed


def _end(
    session: Session,
    adaptation_id: str,
    target: State,
    condition: ColumnElement[bool],
    ending: Ending,
    *,
    event: Mapping[str, Any] | None = None,
    **values: Any,
) -> bool:
    """Move an adaptation out of the running state, tell why, and count the attempt."""
    attempt = session.scalar(select(AdaptationRow.attempt).where(AdaptationRow.id == adaptation_id)) or 0
    told = ending.event(attempt)
    seconds = {"stage_seconds": told["stage_seconds"]} if "stage_seconds" in told else {}
    ended = move(
        session,
        adaptation_id,
        State.RUNNING,
        target,
        condition,
        event={**(event or {}), **told},
        eta_s=None,
        lease_owner=None,
        lease_expires_at=None,
        **seconds,
        **values,
    )
    if ended:
        totals.add(session, totals.ATTEMPTS, ending.outcome, 1)
    return ended

"""The worker's side of an adaptation: claim it, keep it, report on it, and let go of it.

A lease says who runs an adaptation and until when. Every write of the worker holds only while the lease does, so that
a worker which was given up for dead can neither report nor finish what another one has taken over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from app.adaptations.states import State, change, move, record
from app.tables import AdaptationRow, utc_now


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


def claim(session: Session, adaptation_id: str, owner: str, lease_s: float) -> Claim | None:
    """Take a queued adaptation; None where it is not there to be taken."""
    now = utc_now()
    taken = move(
        session,
        adaptation_id,
        State.QUEUED,
        State.RUNNING,
        event={"stage": "starting", "progress": 0.0},
        stage="starting",
        progress=0.0,
        eta_s=None,
        attempt=AdaptationRow.attempt + 1,
        lease_owner=owner,
        lease_expires_at=now + timedelta(seconds=lease_s),
        started_at=func.coalesce(AdaptationRow.started_at, now),
    )
    if not taken:
        return None
    attempt = session.execute(select(AdaptationRow.attempt).where(AdaptationRow.id == adaptation_id)).scalar_one()
    return Claim(adaptation_id, owner, attempt)


def renew(session: Session, held: Claim, lease_s: float) -> bool:
    """Keep the lease for another ``lease_s`` seconds and say whether a cancellation was asked for; raises LeaseLost."""
    expires = utc_now() + timedelta(seconds=lease_s)
    if not change(session, held.adaptation_id, holds(held), lease_expires_at=expires):
        raise LeaseLost(held.adaptation_id)
    return _cancel_requested(session, held)


def report(session: Session, held: Claim, stage: str, progress: float, eta_s: float | None) -> bool:
    """Say how far the attempt is; answers whether a cancellation was asked for, raises LeaseLost."""
    if not change(session, held.adaptation_id, holds(held), stage=stage, progress=progress, eta_s=eta_s):
        raise LeaseLost(held.adaptation_id)
    data = {"state": State.RUNNING, "stage": stage, "progress": progress, "eta_s": eta_s, "attempt": held.attempt}
    record(session, held.adaptation_id, "progress", data)
    return _cancel_requested(session, held)


def give_back(session: Session, held: Claim) -> bool:
    """Let go of an adaptation without having failed at it: the attempt does not count."""
    return _let_go(session, held.adaptation_id, holds(held), "The worker was stopped.", attempts_left=True, refund=1)


def fail(session: Session, held: Claim, code: str, detail: str) -> bool:
    """End the adaptation: another attempt would fail in the same way."""
    return _fail(session, held.adaptation_id, holds(held), code, detail)


def cancel(session: Session, held: Claim) -> bool:
    """End the adaptation because a person asked for it."""
    return _cancel(session, held.adaptation_id, holds(held))


def fail_attempt(session: Session, held: Claim, reason: str, max_attempts: int) -> bool:
    """Queue the adaptation again, or end it when this was the last attempt."""
    return _let_go(session, held.adaptation_id, holds(held), reason, attempts_left=held.attempt < max_attempts)


def reclaim(session: Session, adaptation_id: str, seen: Lease, reason: str, max_attempts: int) -> bool:
    """Take a running adaptation from an owner that lives no more; False where its lease is not as it was ``seen``."""
    unchanged = and_(
        AdaptationRow.state == State.RUNNING,
        AdaptationRow.lease_owner == seen.owner,
        AdaptationRow.lease_expires_at == seen.expires_at,
    )
    query = select(AdaptationRow.attempt).where(AdaptationRow.id == adaptation_id)
    attempt = session.execute(query).scalar_one()
    return _let_go(session, adaptation_id, unchanged, reason, attempts_left=attempt < max_attempts)


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
    reason: str,
    *,
    attempts_left: bool,
    refund: int = 0,
) -> bool:
    # The row is locked first, so that a cancellation cannot slip in between the question and the move.
    query = select(AdaptationRow.cancel_requested, AdaptationRow.attempt).where(AdaptationRow.id == adaptation_id)
    cancel_requested, attempt = session.execute(query.with_for_update()).one()
    if cancel_requested:
        return _cancel(session, adaptation_id, condition)
    if not attempts_left:
        detail = f"The adaptation failed {attempt} times. The last time: {reason}"
        return _fail(session, adaptation_id, condition, "attempts_exhausted", detail)
    return move(
        session,
        adaptation_id,
        State.RUNNING,
        State.QUEUED,
        condition,
        event={"stage": "queued", "progress": 0.0, "attempt": attempt, "reason": reason},
        stage="queued",
        progress=0.0,
        eta_s=None,
        attempt=attempt - refund,
        lease_owner=None,
        lease_expires_at=None,
    )


def _cancel(session: Session, adaptation_id: str, condition: ColumnElement[bool]) -> bool:
    return move(
        session,
        adaptation_id,
        State.RUNNING,
        State.CANCELLED,
        condition,
        stage="cancelled",
        eta_s=None,
        lease_owner=None,
        lease_expires_at=None,
        finished_at=utc_now(),
    )


def _fail(session: Session, adaptation_id: str, condition: ColumnElement[bool], code: str, detail: str) -> bool:
    error = {"code": code, "detail": detail}
    return move(
        session,
        adaptation_id,
        State.RUNNING,
        State.FAILED,
        condition,
        event={"error": error},
        stage="failed",
        error=error,
        eta_s=None,
        lease_owner=None,
        lease_expires_at=None,
        finished_at=utc_now(),
    )

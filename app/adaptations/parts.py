"""Parts of an adaptation that is fanned out: pieces of work, which any worker may take.

While its parts are worked on, an adaptation runs though no process does: the lease is held by ``PARTS``. Who works on a
part holds a lease on that, and renews both. Whoever finds all parts done may take the adaptation up, and one does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from sqlalchemy import ColumnElement, CursorResult, and_, delete, func, select, update
from sqlalchemy.orm import Session

from app.adaptations import leases
from app.adaptations.leases import Claim, Lease, LeaseLost
from app.adaptations.states import State, change, record
from app.tables import AdaptationEventRow, AdaptationPartRow, AdaptationRow, utc_now

PARTS = "parts"
"""The owner of an adaptation that waits for its parts."""
QUEUED, RUNNING, DONE = "queued", "running", "done"
_FANNED_OUT = "fanned_out"


@dataclass(frozen=True)
class PartClaim:
    """The right of one process to work on one part of a job's attempt."""

    job: Claim
    number: int
    piece: str
    owner: str
    attempt: int


def fan_out(
    session: Session,
    held: Claim,
    pieces: Sequence[str],
    *,
    done: Mapping[str, str],
    made_by: str,
    lease_s: float,
    seconds: Mapping[str, float],
) -> list[int]:
    """Let go of an adaptation until its pieces have been worked on; answers the numbers of those parts.

    ``done`` are artifacts of pieces that need no more work. ``made_by`` says which program works on them: what another
    one made is not used. Raises LeaseLost.
    """
    expires = utc_now() + timedelta(seconds=lease_s)
    spent = {stage: round(value, 3) for stage, value in seconds.items()}
    values = {"lease_owner": PARTS, "lease_expires_at": expires, "stage": PARTS, "eta_s": None, "stage_seconds": spent}
    if not change(session, held.adaptation_id, leases.holds(held), **values):
        raise LeaseLost(held.adaptation_id)
    known = {row.work["piece"]: row for row in _rows(session, held.adaptation_id)}
    for piece, row in list(known.items()):
        if piece not in {*done, *pieces} and (row.state, row.work["made_by"]) != (DONE, made_by):
            session.delete(known.pop(piece))  # of an earlier attempt of another program: nobody asks for it
    session.flush()
    fresh = count(1 + max((row.number for row in known.values()), default=-1))
    for piece in (*done, *pieces):
        row = known.get(piece) or _new(session, held.adaptation_id, next(fresh))
        known[piece] = row
        row.work = {"piece": piece, "made_by": made_by}
        row.state, row.artifact_sha256 = (DONE, done[piece]) if piece in done else (QUEUED, None)
        row.owner, row.lease_expires_at, row.attempt = None, None, 0
    session.flush()
    told = {"stage": PARTS, "progress": leases.progress_of(session, held.adaptation_id), "attempt": held.attempt}
    told |= {"state": State.RUNNING, "parts": len(pieces), "stage_seconds": spent}
    record(session, held.adaptation_id, _FANNED_OUT, told)
    return [known[piece].number for piece in pieces]


def claim(session: Session, adaptation_id: str, number: int, owner: str, lease_s: float) -> PartClaim | None:
    """Take a queued part; None where it, or its adaptation, is not there to be taken."""
    job = session.get(AdaptationRow, adaptation_id)
    part = session.scalar(select(AdaptationPartRow).where(_numbered(adaptation_id, number)))
    if job is None or part is None or (job.state, job.lease_owner, part.state) != (State.RUNNING, PARTS, QUEUED):
        return None
    held = PartClaim(waiting(job), number, part.work["piece"], owner, part.attempt + 1)
    expires = utc_now() + timedelta(seconds=lease_s)
    free = and_(AdaptationPartRow.state == QUEUED, AdaptationPartRow.attempt == part.attempt)
    taken = _set(session, held, free, state=RUNNING, owner=owner, lease_expires_at=expires, attempt=held.attempt)
    return held if taken else None


def renew(session: Session, held: PartClaim, lease_s: float) -> bool:
    """Keep part and adaptation for another ``lease_s``; says whether to cancel. Raises LeaseLost."""
    cancel = leases.renew(session, held.job, lease_s)  # the adaptation's row is always locked before a part's
    if not _set(session, held, _holds(held), lease_expires_at=utc_now() + timedelta(seconds=lease_s)):
        raise LeaseLost(_name(held))
    return cancel


def finish(session: Session, held: PartClaim, artifact_sha256: str) -> bool:
    """Record a part's result; says whether it was the last one. Raises LeaseLost."""
    if not change(session, held.job.adaptation_id, leases.holds(held.job), stage=PARTS):
        raise LeaseLost(_name(held))
    done_with = {"state": DONE, "owner": None, "lease_expires_at": None, "artifact_sha256": artifact_sha256}
    if not _set(session, held, _holds(held), **done_with):
        raise LeaseLost(_name(held))
    rows = _rows(session, held.job.adaptation_id)
    done = sum(row.state == DONE for row in rows)
    change(session, held.job.adaptation_id, progress=leases.forward(round(0.05 + 0.35 * done / len(rows), 4)))
    progress = leases.progress_of(session, held.job.adaptation_id)
    told = {"stage": PARTS, "progress": progress, "attempt": held.job.attempt, "done": done, "parts": len(rows)}
    record(session, held.job.adaptation_id, "progress", {"state": State.RUNNING, "eta_s": None, **told})
    return done == len(rows)


def give_back(session: Session, held: PartClaim) -> bool:
    """Let go of a part without having failed at it."""
    return _set(session, held, _holds(held), state=QUEUED, owner=None, lease_expires_at=None, attempt=held.attempt - 1)


def reclaim(session: Session, part: AdaptationPartRow, seen: Lease) -> bool:
    """Queue a part again whose owner lives no more."""
    unchanged = and_(AdaptationPartRow.owner == seen.owner, AdaptationPartRow.lease_expires_at == seen.expires_at)
    return _update(
        session,
        and_(AdaptationPartRow.id == part.id, AdaptationPartRow.state == RUNNING, unchanged),
        state=QUEUED,
        owner=None,
        lease_expires_at=None,
    )


def take_up(session: Session, adaptation_id: str, owner: str, lease_s: float) -> tuple[Claim, dict[str, float]] | None:
    """Go on with an adaptation whose parts are all done; None where they are not, or another process has gone on.

    Answers also the seconds of the stages until now, the parts' among them.
    """
    job = session.get(AdaptationRow, adaptation_id)
    if job is None or job.lease_owner != PARTS or any(row.state != DONE for row in _rows(session, adaptation_id)):
        return None
    expires = utc_now() + timedelta(seconds=lease_s)
    if not change(session, adaptation_id, leases.holds(waiting(job)), lease_owner=owner, lease_expires_at=expires):
        return None
    began = session.scalar(
        select(func.max(AdaptationEventRow.created_at)).where(
            AdaptationEventRow.adaptation_id == adaptation_id, AdaptationEventRow.kind == _FANNED_OUT
        )
    )
    spent = dict(job.stage_seconds or {})
    spent[PARTS] = spent.get(PARTS, 0.0) + ((utc_now() - began).total_seconds() if began else 0.0)
    return Claim(adaptation_id, owner, job.attempt), spent


def results(session: Session, adaptation_id: str, made_by: str) -> dict[str, str]:
    """The artifacts of the pieces that are done, as far as this program made them."""
    rows = _rows(session, adaptation_id)
    return {
        row.work["piece"]: row.artifact_sha256
        for row in rows
        if row.state == DONE and row.artifact_sha256 and row.work.get("made_by") == made_by
    }


def artifacts(session: Session, adaptation_ids: Iterable[str]) -> frozenset[str]:
    """The artifacts of all pieces of these adaptations."""
    query = select(AdaptationPartRow.artifact_sha256).where(AdaptationPartRow.adaptation_id.in_(list(adaptation_ids)))
    return frozenset(sha256 for sha256 in session.scalars(query) if sha256)


def forget(session: Session, adaptation_id: str) -> None:
    """Remove the parts of an adaptation that has succeeded."""
    session.execute(delete(AdaptationPartRow).where(AdaptationPartRow.adaptation_id == adaptation_id))


def waiting(job: AdaptationRow) -> Claim:
    """The claim of PARTS on an adaptation that waits for them."""
    return Claim(job.id, PARTS, job.attempt)


def of_waiting(session: Session) -> list[tuple[AdaptationRow, list[AdaptationPartRow]]]:
    """The adaptations that wait for their parts, with these."""
    query = select(AdaptationRow).where(AdaptationRow.state == State.RUNNING, AdaptationRow.lease_owner == PARTS)
    return [(job, _rows(session, job.id)) for job in session.scalars(query)]


def _rows(session: Session, adaptation_id: str) -> list[AdaptationPartRow]:
    query = select(AdaptationPartRow).where(AdaptationPartRow.adaptation_id == adaptation_id)
    query = query.order_by(AdaptationPartRow.number).execution_options(populate_existing=True)
    return list(session.scalars(query))


def _new(session: Session, adaptation_id: str, number: int) -> AdaptationPartRow:
    row = AdaptationPartRow(adaptation_id=adaptation_id, number=number, work={}, state=QUEUED)
    session.add(row)
    return row


def _name(held: PartClaim) -> str:
    return f"{held.job.adaptation_id} part {held.number}"


def _numbered(adaptation_id: str, number: int) -> ColumnElement[bool]:
    return and_(AdaptationPartRow.adaptation_id == adaptation_id, AdaptationPartRow.number == number)


def _holds(held: PartClaim) -> ColumnElement[bool]:
    return and_(
        AdaptationPartRow.state == RUNNING,
        AdaptationPartRow.owner == held.owner,
        AdaptationPartRow.attempt == held.attempt,
    )


def _set(session: Session, held: PartClaim, condition: ColumnElement[bool], **values: object) -> bool:
    return _update(session, and_(_numbered(held.job.adaptation_id, held.number), condition), **values)


def _update(session: Session, condition: ColumnElement[bool], **values: object) -> bool:
    statement = update(AdaptationPartRow).where(condition).values(**values)
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)  # noqa: S101 - what SQLAlchemy answers to an UPDATE
    return result.rowcount == 1

"""Asking for an adaptation and asking it to stop: what the API does, as opposed to the worker."""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from structlog.contextvars import get_contextvars

from app import audit, tracing
from app.adaptations.attempts import History, histories
from app.adaptations.priority import Priority
from app.adaptations.schemas import AdaptationRequest
from app.adaptations.states import FINISHED, State, change, move, record
from app.captures.purging import capture_purged
from app.db import after_commit
from app.errors import Conflict, NotFound
from app.queue import JobQueue
from app.rigs.repository import get_rig, get_usable_rig
from app.tables import AdaptationRow, CaptureRow, new_id, utc_now
from models.methods import validate_options


def create(
    session: Session,
    queue: JobQueue,
    rig_id: str,
    request: AdaptationRequest,
    idempotency_key: str | None,
    *,
    retry_of: str | None = None,
) -> AdaptationRow:
    """Queue an adaptation and wake a worker once it is committed.

    The same ``idempotency_key`` with the same request answers the adaptation that it made the first time. ``retry_of``
    is the adaptation whose request this is.
    """
    validate_options(request.method, request.options)
    studio = get_rig(session, rig_id).studio
    if idempotency_key is not None and (earlier := _by_key(session, studio, idempotency_key)):
        return _same(session, earlier, rig_id, request, retry_of)
    _check_rig_and_capture(session, rig_id, request.capture)
    row = AdaptationRow(
        id=new_id("ada"),
        studio=studio,
        rig_id=rig_id,
        capture_id=request.capture,
        method=request.method,
        seed=request.seed,
        options=request.options,
        priority=request.priority,
        state=State.QUEUED,
        idempotency_key=idempotency_key,
        request_id=str(get_contextvars().get("request_id", "")),
        traceparent=tracing.traceparent(),
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        earlier = _by_key(session, studio, idempotency_key) if idempotency_key is not None else None
        if earlier is None:
            raise
        return _same(session, earlier, rig_id, request, retry_of)
    lineage = {} if retry_of is None else {"retry_of": retry_of}
    record(session, row.id, State.QUEUED, {"state": State.QUEUED, "stage": "queued", "progress": 0.0, **lineage})
    audit.record(session, "adaptation.requested", row.id, rig=rig_id, capture=request.capture, **lineage)
    after_commit(session, lambda: queue.enqueue_adaptation(row.id, row.priority))
    return row


def retry(session: Session, queue: JobQueue, adaptation_id: str, idempotency_key: str | None) -> AdaptationRow:
    """Ask again for what failed or was cancelled, as a new adaptation; asked twice it answers the same one.

    Raises Conflict where the adaptation has not come to such an end, or where its retry has. With an
    ``idempotency_key`` of its own it is another retry of the same adaptation.
    """
    old = find(session, adaptation_id)
    if old.state not in {State.FAILED, State.CANCELLED}:
        raise Conflict(
            f"Only an adaptation that failed or was cancelled can be tried again; this one is {old.state}.",
            code="adaptation_not_retryable",
        )
    request = AdaptationRequest(
        capture=old.capture_id,
        method=old.method,
        seed=old.seed,
        options=old.options,
        priority=Priority(old.priority),
    )
    # No header begins with a space, so no client's own key is in the way.
    key = idempotency_key or f" retry of {old.id}"
    row = create(session, queue, old.rig_id, request, key, retry_of=old.id)
    if idempotency_key is None and row.state in {State.FAILED, State.CANCELLED}:
        raise Conflict(
            f"It was tried again as {row.id}, which is {row.state}: retry that one.", code="adaptation_not_retryable"
        )
    return row


def find(session: Session, adaptation_id: str) -> AdaptationRow:
    """The adaptation of that id; raises NotFound."""
    row = session.get(AdaptationRow, adaptation_id) if adaptation_id.isprintable() else None
    if row is None:
        detail = f"There is no adaptation {adaptation_id!r}."
        raise NotFound(detail, at="path.adaptation_id", code="adaptation_not_found")
    return row


def cancel(session: Session, adaptation_id: str) -> AdaptationRow:
    """Cancel at once what waits; ask what runs to stop at its next step. Raises Conflict where it has finished."""
    find(session, adaptation_id)
    query = select(AdaptationRow).where(AdaptationRow.id == adaptation_id).with_for_update()
    row = session.scalars(query.execution_options(populate_existing=True)).one()
    if row.state in FINISHED:
        raise Conflict(f"The adaptation has already {_ended(row.state)}.", code="adaptation_finished")
    if not row.cancel_requested:
        audit.record(session, "adaptation.cancelled", row.id, rig=row.rig_id, state=row.state)
    if row.state == State.QUEUED:
        move(session, row.id, State.QUEUED, State.CANCELLED, stage="cancelled", finished_at=utc_now())
    elif not row.cancel_requested:
        change(session, row.id, cancel_requested=True)
        record(session, row.id, "cancel_requested", {"state": row.state, "stage": row.stage, "progress": row.progress})
    session.refresh(row)
    return row


def _ended(state: str) -> str:
    return "been cancelled" if state == State.CANCELLED else state


def _by_key(session: Session, studio: str, key: str) -> AdaptationRow | None:
    query = select(AdaptationRow).where(AdaptationRow.studio == studio, AdaptationRow.idempotency_key == key)
    return session.scalars(query).one_or_none()


def _same(
    session: Session, earlier: AdaptationRow, rig_id: str, request: AdaptationRequest, retry_of: str | None
) -> AdaptationRow:
    repeated = histories(session, [earlier.id]).get(earlier.id, History()).retry_of
    then = (earlier.rig_id, earlier.capture_id, earlier.method, earlier.seed, earlier.options, earlier.priority)
    now = (rig_id, request.capture, request.method, request.seed, request.options, request.priority)
    if then != now or repeated != retry_of:  # a retry is another request than the one it repeats
        raise Conflict(
            "This Idempotency-Key came before with another request; use a new key for a new request.",
            at="header.idempotency-key",
            code="idempotency_key_reused",
        )
    return earlier


def _check_rig_and_capture(session: Session, rig_id: str, capture_id: str) -> None:
    get_usable_rig(session, rig_id)
    # Locked, so that it is not purged before the adaptation is committed.
    lock = {"read": True}
    capture = session.get(CaptureRow, capture_id, with_for_update=lock) if capture_id.isprintable() else None
    if capture is None:
        raise NotFound(f"There is no capture {capture_id!r}.", at="capture", code="capture_not_found")
    if capture.rig_id != rig_id:
        raise Conflict(
            f"The capture {capture_id!r} was made with the rig {capture.rig_id!r}, not with {rig_id!r}.",
            at="capture",
            code="capture_of_another_rig",
        )
    if capture.purged_at is not None:
        raise capture_purged(capture_id)

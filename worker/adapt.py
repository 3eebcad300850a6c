"""Runs an adaptation: claim the row, load by id, let the engine compute, record the outcome once.

A message wakes a worker for the most urgent job, whichever it names: so an interactive job comes before all batch jobs
however many messages were sent before its own, and one whose message was lost runs at the next occasion.
"""

from collections.abc import Callable, Mapping

import structlog
from sqlalchemy.orm import Session

from app.adaptations import finish, leases
from app.adaptations.finish import Result
from app.adaptations.leases import Claim, LeaseLost
from app.captures.purging import capture_purged
from app.errors import ServiceUnavailable, StorageFull
from app.keeping import keep
from app.tables import AdaptationRow, CaptureRow, RigRow
from models.checkpoint import Checkpoint
from models.errors import Cancelled, RigFuseError
from models.rig import Rig
from worker.attempt import Attempt, WorkerStopping
from worker.captures import labelled_frames
from worker.context import WorkerContext
from worker.telling import telling

log = structlog.get_logger()

_IMAGES_SHARE = 0.5  # of an adaptation's time, where the backbone has to make the heatmaps first


_LOOK_AT = 50  # queued jobs, the most urgent first: others may be faster at some of them


def run_next(context: WorkerContext, adaptation_id: str) -> None:
    """Run the most urgent job that is queued; ``adaptation_id`` is what the message names, for the log."""
    with context.db.read_session() as session:
        queued = leases.most_urgent(session, _LOOK_AT)
    if not any(run_adaptation(context, urgent) for urgent in queued):
        log.info("nothing to do", id=adaptation_id)


def run_adaptation(context: WorkerContext, adaptation_id: str) -> bool:
    """Run the adaptation to one of its ends; False where it is not queued, so a message may come twice."""
    with context.db.session() as session:
        claim = leases.claim(session, adaptation_id, context.owner, context.settings.lease_s)
    if claim is None:
        return False
    with telling(context.db, claim):
        log.info("adaptation claimed")
        with context.working_on(adaptation_id):
            _run(context, claim)
    return True


def _run(context: WorkerContext, claim: Claim) -> None:
    attempt = Attempt(context, claim)
    spent = attempt.clock.seconds
    try:
        with attempt:
            checkpoint = _compute(context, claim, attempt)
            attempt.check()
            attempt.clock.enter("store")
        checkpoint_id = _record(context, claim, checkpoint, attempt)
        log.info("adaptation succeeded", checkpoint=checkpoint_id)
    except Cancelled:
        log.info("adaptation cancelled")
        _end(context, claim, lambda session: leases.cancel(session, claim, spent()))
    except LeaseLost:
        log.warning("lease lost; another worker has this adaptation, or none")
    except (ServiceUnavailable, StorageFull) as error:
        # It may be over by the next attempt, so that is not sent at once: the sweep sends it.
        log.warning("attempt failed", code=error.code, detail=error.message)
        _fail_attempt(context, claim, error, spent(), wake=False)
    except RigFuseError as error:
        log.warning("adaptation failed", code=error.code, detail=error.message)
        code, detail = error.code, error.message
        _end(context, claim, lambda session: leases.fail(session, claim, code, detail, spent()))
    except (WorkerStopping, SystemExit, KeyboardInterrupt) as stop:
        log.info("adaptation given back")
        _end(context, claim, lambda session: leases.give_back(session, claim, spent()), wake=True)
        if not isinstance(stop, WorkerStopping):
            raise
    except Exception as error:
        log.exception("attempt failed")
        _fail_attempt(context, claim, error, spent(), wake=True)


def _fail_attempt(
    context: WorkerContext, claim: Claim, error: Exception, seconds: Mapping[str, float], *, wake: bool
) -> None:
    cause = error.code if isinstance(error, RigFuseError) else type(error).__name__
    reason, limit = f"{cause}: {error}"[:500], context.settings.max_attempts

    def end(session: Session) -> bool:
        return leases.fail_attempt(session, claim, reason, limit, cause=cause, seconds=seconds)

    _end(context, claim, end, wake=wake)


def _compute(context: WorkerContext, claim: Claim, attempt: Attempt) -> Checkpoint:
    with context.db.read_session() as session:
        job = session.get_one(AdaptationRow, claim.adaptation_id)
        capture = session.get_one(CaptureRow, job.capture_id)
        rig = Rig.from_dict(session.get_one(RigRow, job.rig_id).document)
    if capture.purged_at is not None:
        raise capture_purged(capture.id)
    before = _IMAGES_SHARE if capture.kind == "images" else 0.0
    frames = labelled_frames(context, rig, capture, lambda stage, part: attempt(stage, before * part))
    return context.engine(
        rig,
        frames,
        method=job.method,
        seed=job.seed,
        options=job.options,
        progress=lambda stage, part: attempt(stage, before + (1 - before) * part),
        capture_digest=capture.digest,
        device=context.settings.device,
    )


def _record(context: WorkerContext, claim: Claim, checkpoint: Checkpoint, attempt: Attempt) -> str:
    data = checkpoint.to_bytes()
    # The bytes first: an artifact that no row names is harmless, a row without its artifact is not.
    sha256 = context.artifacts.put_bytes(data)
    result = Result(
        artifact_sha256=sha256,
        size_bytes=len(data),
        manifest=checkpoint.manifest(),
        metrics=checkpoint.metrics,
        promoted=checkpoint.promoted,
        reason=str(checkpoint.metrics.get("reason", "")),
        stage_seconds=attempt.clock.seconds(),
    )
    with context.db.session() as session:
        checkpoint_id = finish.succeed(session, claim, result)
        keep(session, context.artifacts, {sha256: lambda: context.artifacts.put_bytes(data)})
        return checkpoint_id


def _end(context: WorkerContext, claim: Claim, end: Callable[[Session], bool], *, wake: bool = False) -> None:
    with context.db.session() as session:
        ended = end(session)
        job = session.get_one(AdaptationRow, claim.adaptation_id)
    if ended and wake:
        # A job that is not queued again ignores this.
        context.queue.enqueue_adaptation(job.id, job.priority)

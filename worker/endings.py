"""How an attempt ends, whatever ends it: one place for whole adaptations and for their parts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog
from sqlalchemy.orm import Session

from app.adaptations import leases
from app.adaptations.leases import Claim, LeaseLost
from app.errors import ServiceUnavailable, StorageFull
from app.tables import AdaptationRow
from models.errors import Cancelled, RigFuseError
from worker.attempt import Attempt, WorkerStopping
from worker.context import WorkerContext

log = structlog.get_logger()


@contextmanager
def told_endings(context: WorkerContext, attempt: Attempt, give_back: Callable[[], None]) -> Iterator[None]:
    """Record what ends the block early; ``give_back`` lets go of the work where this worker is to stop."""
    claim, spent = attempt.claim, attempt.clock.seconds
    try:
        yield
    except Cancelled:
        log.info("adaptation cancelled")
        end(context, claim, lambda session: leases.cancel(session, claim, spent()))
    except LeaseLost:
        log.warning("lease lost; another worker has this work, or none")
    except (ServiceUnavailable, StorageFull) as error:
        # It may be over by the next attempt, so that is not sent at once: the sweep sends it.
        log.warning("attempt failed", code=error.code, detail=error.message)
        _fail_attempt(context, claim, error, spent(), wake=False)
    except RigFuseError as error:
        log.warning("adaptation failed", code=error.code, detail=error.message)
        code, detail = error.code, error.message
        end(context, claim, lambda session: leases.fail(session, claim, code, detail, spent()))
    except (WorkerStopping, SystemExit, KeyboardInterrupt) as stop:
        log.info("work given back")
        give_back()
        if not isinstance(stop, WorkerStopping):
            raise
    except Exception as error:
        log.exception("attempt failed")
        _fail_attempt(context, claim, error, spent(), wake=True)


def end(context: WorkerContext, claim: Claim, how: Callable[[Session], bool], *, wake: bool = False) -> None:
    """End an attempt in a transaction of its own, and wake a worker for the next one."""
    with context.db.session() as session:
        ended = how(session)
        job = session.get_one(AdaptationRow, claim.adaptation_id)
    if ended and wake:
        # A job that is not queued again ignores this.
        context.queue.enqueue_adaptation(job.id, job.priority)


def _fail_attempt(
    context: WorkerContext, claim: Claim, error: Exception, seconds: Mapping[str, float], *, wake: bool
) -> None:
    cause = error.code if isinstance(error, RigFuseError) else type(error).__name__
    reason, limit = f"{cause}: {error}"[:500], context.settings.max_attempts

    def how(session: Session) -> bool:
        return leases.fail_attempt(session, claim, reason, limit, cause=cause, seconds=seconds)

    end(context, claim, how, wake=wake)

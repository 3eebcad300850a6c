"""Runs an adaptation: claim the row, load by id, let the engine compute, record the outcome once.

A message wakes a worker for the most urgent job, whichever it names: so an interactive job comes before all batch jobs
however many messages were sent before its own, and one whose message was lost runs at the next occasion.
"""

import contextlib
from collections.abc import Mapping

import structlog

from app.adaptations import finish, leases, parts
from app.adaptations.finish import Result
from app.adaptations.leases import Claim
from app.errors import ServiceUnavailable
from app.keeping import keep, let_go
from models.checkpoint import Checkpoint
from models.fanout import Needed
from worker.attempt import Attempt
from worker.computing import Computation
from worker.context import WorkerContext
from worker.endings import end, told_endings
from worker.fitting import fits
from worker.incumbent import Incumbent
from worker.parts import fan_out, take_up
from worker.provenance import with_provenance
from worker.telling import telling

log = structlog.get_logger()

_LOOK_AT = 50  # queued jobs, the most urgent first: others may be faster at some of them


def run_next(context: WorkerContext, adaptation_id: str) -> None:
    """Run the most urgent queued job that fits; ``adaptation_id`` is what the message names, for the log."""
    if not context.has_store():
        return  # the sweep sends it again
    with context.db.read_session() as session:
        queued = leases.most_urgent(session, _LOOK_AT)
    if not any(fits(context, urgent) and run_adaptation(context, urgent) for urgent in queued):
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


def gather(context: WorkerContext, adaptation_id: str) -> None:
    """Go on with an adaptation whose parts are all done."""
    if context.has_store():
        take_up(context, adaptation_id, lambda claim, spent: _run(context, claim, spent))


def _run(context: WorkerContext, claim: Claim, spent: Mapping[str, float] | None = None) -> None:
    attempt = Attempt(context, claim, spent)
    with told_endings(context, attempt, lambda: _give_back(context, attempt)), attempt:
        computation = Computation(context, attempt)
        made = _made(computation)
        attempt.tell_rest()
        attempt.check()
        attempt.clock.enter("store")  # which may take longer than a lease, where the store is slow
        if isinstance(made, Needed):
            fan_out(context, attempt, computation, made)
        else:
            log.info("adaptation succeeded", checkpoint=_record(context, attempt, made, computation.incumbent))


def _made(computation: Computation) -> Checkpoint | Needed:
    try:
        return computation.run()
    except Needed as needed:
        return needed


def _give_back(context: WorkerContext, attempt: Attempt) -> None:
    claim, spent = attempt.claim, attempt.clock.seconds()
    end(context, claim, lambda session: leases.give_back(session, claim, spent), wake=True)


def _record(context: WorkerContext, attempt: Attempt, checkpoint: Checkpoint, incumbent: Incumbent) -> str:
    checkpoint = with_provenance(checkpoint, context.settings)
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
        compared_with=incumbent.id,
    )
    with context.db.session() as session:
        pieces = parts.artifacts(session, [attempt.claim.adaptation_id])
        checkpoint_id = finish.succeed(session, attempt.claim, result)
        keep(session, context.artifacts, {sha256: lambda: context.artifacts.put_bytes(data)})
    with contextlib.suppress(ServiceUnavailable):  # then they go with the next housekeeping
        let_go(context.db, context.artifacts, pieces)
    return checkpoint_id

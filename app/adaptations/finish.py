"""The end of an adaptation that succeeded: one transaction, so that it happens wholly, and once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.orm import Session

from app import totals
from app.adaptations import parts
from app.adaptations.attempts import Ending, Outcome
from app.adaptations.leases import Claim, LeaseLost, holds
from app.adaptations.states import State, move
from app.checkpoints.activation import Action, activate, locked_rig
from app.tables import AdaptationRow, CheckpointRow, new_id, utc_now
from models.errors import Cancelled


@dataclass(frozen=True)
class Result:
    """What an adaptation made; the bytes lie in the artifact store already.

    ``compared_with`` is the checkpoint that was active when it was judged.
    """

    artifact_sha256: str
    size_bytes: int
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    promoted: bool
    reason: str
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    compared_with: str | None = None


def succeed(session: Session, held: Claim, result: Result) -> str:
    """Record the checkpoint, the metrics and the state, and serve with the checkpoint when it is promoted.

    Raises LeaseLost where the claim is no longer good and Cancelled where a person asked the adaptation to stop; then
    nothing is recorded.
    """
    job = session.get_one(AdaptationRow, held.adaptation_id)
    rig = locked_rig(session, job.rig_id)
    result = _as_of_now(result, rig.active_checkpoint_id)
    checkpoint_id = new_id("ckp")
    ending = Ending(Outcome.SUCCEEDED, seconds=result.stage_seconds)
    told = ending.event(held.attempt)
    ended = move(
        session,
        job.id,
        State.RUNNING,
        State.SUCCEEDED,
        holds(held),
        AdaptationRow.cancel_requested.is_(False),
        event={"stage": "done", "progress": 1.0, "checkpoint": checkpoint_id, "promoted": result.promoted, **told},
        stage="done",
        progress=1.0,
        eta_s=0.0,
        metrics=dict(result.metrics),
        stage_seconds=told.get("stage_seconds"),
        lease_owner=None,
        lease_expires_at=None,
        finished_at=utc_now(),
    )
    if not ended:
        session.refresh(job)
        raise Cancelled("cancelled by request") if job.cancel_requested else LeaseLost(job.id)
    session.add(_checkpoint_row(checkpoint_id, job, result))
    session.flush()
    session.refresh(job)
    job.checkpoint_id = checkpoint_id
    if result.promoted and rig.archived_at is None:
        activate(session, rig, checkpoint_id, Action.PROMOTED, result.reason)
    parts.forget(session, job.id)
    _count(session, job, result.stage_seconds)
    return checkpoint_id


def _as_of_now(result: Result, active_id: str | None) -> Result:
    """The result, not promoted where the rig serves with another checkpoint by now than it was compared with."""
    if not result.promoted or active_id == result.compared_with:
        return result
    now = f"checkpoint {active_id} became active" if active_id else f"checkpoint {result.compared_with} was withdrawn"
    reason = (
        f"Not promoted: {now} meanwhile, and this one was not compared with what serves since. Adapt again to compare "
        f"them, or activate it by hand. What was found before that: {result.reason}"
    )
    return replace(
        result, promoted=False, reason=reason, metrics={**result.metrics, "promoted": False, "reason": reason}
    )


def _count(session: Session, job: AdaptationRow, seconds: Mapping[str, float]) -> None:
    waited = (job.started_at - job.created_at).total_seconds() if job.started_at else 0.0
    stages = totals.observed(totals.STAGE_SECONDS, {"queued": max(0.0, waited), **seconds})
    totals.add_all(session, {**stages, (totals.ATTEMPTS, Outcome.SUCCEEDED): 1})


def _checkpoint_row(checkpoint_id: str, job: AdaptationRow, result: Result) -> CheckpointRow:
    return CheckpointRow(
        id=checkpoint_id,
        studio=job.studio,
        rig_id=job.rig_id,
        adaptation_id=job.id,
        capture_id=job.capture_id,
        method=job.method,
        seed=job.seed,
        artifact_sha256=result.artifact_sha256,
        size_bytes=result.size_bytes,
        manifest=dict(result.manifest),
        promoted=result.promoted,
        reason=result.reason,
    )

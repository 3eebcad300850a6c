"""Whether an adaptation fits into this worker's memory: looked at before it is taken, and told where it does not."""

from dataclasses import dataclass

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import totals
from app.adaptations.states import State, move, record
from app.tables import AdaptationEventRow, AdaptationRow, CaptureRow, RigRow, utc_now
from app.workers import repository
from models.memory import estimate_bytes
from models.rig import Rig
from worker.context import WorkerContext
from worker.memory import Memory, device_memory

log = structlog.get_logger()

WAITING = "waiting"
_CODE = "insufficient_memory"
_MB = 1_000_000


@dataclass(frozen=True)
class _Job:
    id: str
    method: str
    views: int
    frames: int
    need: int

    def __str__(self) -> str:
        return f"{self.method} of {self.views} cameras and {self.frames} frames needs about {self.need // _MB} MB"


def fits(context: WorkerContext, adaptation_id: str) -> bool:
    """Whether this worker may take the adaptation now.

    Where it may not, the adaptation stays queued for another worker or another time, and its events tell why; where no
    worker that lives has as much memory at all, it fails.
    """
    memory = device_memory(context.settings.device, context.settings.worker_memory)
    job = _load(context, adaptation_id)
    if job is None or memory.free is None or job.need <= memory.free:
        return True
    with context.db.session() as session:
        if _largest(session, context, memory) < job.need:
            _fail(session, context, job, memory)
        else:
            _wait(session, context, job, memory)
    return False


def has_room(context: WorkerContext, adaptation_id: str) -> bool:
    """Whether this worker may take a part of the adaptation now; any part needs about what the whole does."""
    free = device_memory(context.settings.device, context.settings.worker_memory).free
    job = _load(context, adaptation_id)
    return job is None or free is None or job.need <= free


def _load(context: WorkerContext, adaptation_id: str) -> _Job | None:
    with context.db.read_session() as session:
        job = session.get(AdaptationRow, adaptation_id)
        if job is None:
            return None
        capture = session.get_one(CaptureRow, job.capture_id)
        document = session.get_one(RigRow, job.rig_id).document
    if not document:
        return None
    rig = Rig.from_dict(document)
    views, joints = len(rig.cameras), len(rig.skeleton.joints)
    need = estimate_bytes(job.method, views, capture.frames, joints, images=capture.kind == "images")
    return _Job(job.id, job.method, views, capture.frames, need)


def _largest(session: Session, context: WorkerContext, own: Memory) -> int:
    """The most memory that a living worker has in all; one that does not know has enough."""
    unknown = 1 << 62
    others = [
        row.memory_total for row in repository.alive(session, context.settings.lease_s) if row.id != context.owner
    ]
    return max(unknown if total is None else total for total in [own.total, *others])


def _wait(session: Session, context: WorkerContext, job: _Job, memory: Memory) -> None:
    """Tell why it waits, once for every time that it was queued."""
    last = {
        kind: session.scalar(
            select(func.max(AdaptationEventRow.id)).where(
                AdaptationEventRow.adaptation_id == job.id, AdaptationEventRow.kind == kind
            )
        )
        for kind in (State.QUEUED, WAITING)
    }
    if (last[WAITING] or 0) > (last[State.QUEUED] or 0):
        return
    reason = f"{job}, and {context.settings.device} has {(memory.free or 0) // _MB} MB free: it waits for more."
    log.info("adaptation waits for memory", adaptation=job.id, need=job.need, free=memory.free)
    record(session, job.id, WAITING, {"state": State.QUEUED, "stage": "queued", "progress": 0.0, "reason": reason})


def _fail(session: Session, context: WorkerContext, job: _Job, memory: Memory) -> None:
    detail = (
        f"{job}, and no worker has as much: this one may use {(memory.total or 0) // _MB} MB of its "
        f"{context.settings.device} in all. Use fewer frames or cameras, another method, or a worker with more memory."
    )
    error = {"code": _CODE, "detail": detail, "cause": _CODE}
    ended = {"stage": "failed", "error": error, "eta_s": None, "finished_at": utc_now()}
    if move(session, job.id, State.QUEUED, State.FAILED, event={"error": error}, **ended):
        totals.add(session, totals.FAILURES, _CODE, 1)
        log.warning("adaptation failed", adaptation=job.id, code=_CODE, detail=detail)

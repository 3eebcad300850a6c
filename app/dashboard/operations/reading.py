"""What the database tells of work: workers, queues, how adaptations end, and why some fail."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import totals
from app.adaptations.priority import Priority
from app.adaptations.queues import depths
from app.adaptations.states import State
from app.tables import AdaptationRow, ApiKeyRow, AuditRow, CaptureRow, CheckpointRow, RequestFrameRow, RigRow, WorkerRow
from app.workers import repository as workers_repository
from models.checkpoint import CODE_VERSION

DAY, WEEK = timedelta(days=1), timedelta(days=7)
_STOPPED_TOLD, _FAILURES_READ, _EXAMPLES, _ACTS_TOLD, _STUDIOS_TOLD = 10, 500, 3, 12, 8


@dataclass(frozen=True)
class Worker:
    """A worker, and what it works on."""

    row: WorkerRow
    state: str
    job: Any
    """The adaptation that it runs, with its rig's name; None while it waits."""

    @property
    def other_version(self) -> bool:
        """Whether it lives and is of another release than this process."""
        return self.state == "alive" and self.row.version != CODE_VERSION


@dataclass(frozen=True)
class Queue:
    """One priority: what waits and runs, and since when the oldest waits."""

    priority: Priority
    queued: int
    running: int
    oldest: datetime | None


@dataclass(frozen=True)
class Failures:
    """Adaptations of a week that failed for the same reason; ``examples`` are the newest."""

    code: str
    count: int
    last: datetime
    examples: Sequence[Any]


@dataclass(frozen=True)
class Stage:
    """The time that adaptations spend in a stage, since the service began."""

    name: str
    median_s: float
    share: float
    """Of the median times of all stages."""


@dataclass(frozen=True)
class Stored:
    """Bytes by the kind of their owner, and by studio."""

    kinds: Mapping[str, tuple[int, int]]
    studios: Sequence[tuple[str, int]]

    @property
    def total(self) -> int:
        """All bytes that rows name."""
        return sum(size for _, size in self.kinds.values())


def workers(session: Session, silence_s: float) -> list[Worker]:
    """All that lives, all that went silent within a day, and the last of those that said goodbye."""
    now = workers_repository.clock(session)
    rows = workers_repository.list_workers(session)
    jobs = _jobs(session, [row.adaptation_id for row in rows if row.adaptation_id])
    told = [Worker(row, _state(row, silence_s, now), jobs.get(row.adaptation_id or "")) for row in rows]
    stopped = [worker for worker in told if worker.state == "stopped"][:_STOPPED_TOLD]
    return [worker for state in ("alive", "silent") for worker in told if worker.state == state] + stopped


def _state(row: WorkerRow, silence_s: float, now: datetime) -> str:
    if row.stopped_at is not None:
        return "stopped"
    return "alive" if workers_repository.is_alive(row, silence_s, now) else "silent"


def _jobs(session: Session, ids: Iterable[str]) -> dict[str, Any]:
    query = (
        select(AdaptationRow.id, AdaptationRow.stage, AdaptationRow.progress, RigRow.name.label("rig"))
        .join(RigRow, RigRow.id == AdaptationRow.rig_id)
        .where(AdaptationRow.id.in_(list(ids)))
    )
    return {row.id: row for row in session.execute(query)}


def queues(session: Session) -> list[Queue]:
    """Both queues."""
    found = depths(session)
    return [
        Queue(
            priority,
            found[State.QUEUED, priority].jobs,
            found[State.RUNNING, priority].jobs,
            found[State.QUEUED, priority].oldest,
        )
        for priority in Priority
    ]


def outcomes(session: Session, now: datetime) -> dict[str, tuple[int, int]]:
    """How adaptations stand that were asked for within a day, and within a week, by state."""

    def since(when: datetime) -> dict[str, int]:
        query = select(AdaptationRow.state, func.count()).where(AdaptationRow.created_at >= when)
        return {state: count for state, count in session.execute(query.group_by(AdaptationRow.state))}  # noqa: C416 -- rows are no pairs

    day, week = since(now - DAY), since(now - WEEK)
    return {state: (day.get(state, 0), week.get(state, 0)) for state in State}


def stages(session: Session) -> list[Stage]:
    """Where the time of adaptations goes, as the workers' histogram tells it."""
    medians = {
        name: totals.median(distribution)
        for name, distribution in totals.read_histogram(session, totals.STAGE_SECONDS).items()
    }
    whole = sum(medians.values()) or 1.0
    ordered = sorted(medians.items(), key=lambda item: -item[1])
    return [Stage(name, seconds, seconds / whole) for name, seconds in ordered]


def failures(session: Session, now: datetime) -> list[Failures]:
    """Why adaptations failed within a week, the most frequent cause first."""
    query = (
        select(AdaptationRow.id, AdaptationRow.error, AdaptationRow.finished_at, RigRow.name.label("rig"))
        .add_columns(AdaptationRow.created_at)
        .join(RigRow, RigRow.id == AdaptationRow.rig_id)
        .where(AdaptationRow.state == State.FAILED, AdaptationRow.created_at >= now - WEEK)
        .order_by(AdaptationRow.created_at.desc())
        .limit(_FAILURES_READ)
    )
    grouped: dict[str, list[Any]] = defaultdict(list)
    for row in session.execute(query):
        error = row.error or {}
        grouped[str(error.get("cause") or error.get("code") or "unknown")].append(row)
    told = [
        Failures(code, len(rows), rows[0].finished_at or rows[0].created_at, rows[:_EXAMPLES])
        for code, rows in grouped.items()
    ]
    return sorted(told, key=lambda failure: -failure.count)


def stored(session: Session) -> Stored:
    """What rows say that the artifact store holds; bytes that two rows share count twice."""
    kinds: dict[str, tuple[int, int]] = {}
    by_studio: Counter[str] = Counter()
    for kind, table in (("Captures", CaptureRow), ("Checkpoints", CheckpointRow)):
        query = select(table.studio, func.count(), func.sum(table.size_bytes)).where(table.purged_at.is_(None))
        rows = session.execute(query.group_by(table.studio)).all()
        kinds[kind] = sum(count for _, count, _ in rows), sum(int(size or 0) for *_, size in rows)
        by_studio.update({studio: int(size or 0) for studio, _, size in rows})
    kept = session.execute(select(func.count(), func.sum(RequestFrameRow.size_bytes))).one()
    kinds["Frames of requests"] = kept[0], int(kept[1] or 0)
    return Stored(kinds, by_studio.most_common(_STUDIOS_TOLD))


def acts(session: Session) -> Sequence[Any]:
    """What was done last, by whom."""
    query = (
        select(AuditRow.at, AuditRow.action, AuditRow.subject, AuditRow.actor, AuditRow.detail, AuditRow.studio)
        .add_columns(ApiKeyRow.name.label("key_name"))
        .outerjoin(ApiKeyRow, ApiKeyRow.id == AuditRow.actor)
        .order_by(AuditRow.id.desc())
        .limit(_ACTS_TOLD)
    )
    return session.execute(query).all()

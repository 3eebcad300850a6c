"""What the rigs page shows, in a handful of queries however many rigs there are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from app.dashboard.rigs.asked import PAGE, Asked, Show
from app.dashboard.rigs.standing import (
    DRIFTING,
    NO_CHECKPOINT,
    RATIO,
    STANDING,
    TROUBLES,
    Active,
    fenced,
    newest,
    ordered,
    shown,
    standings,
)
from app.tables import AdaptationRow, CaptureRow, CheckpointRow, RigRow, RigServingRow


@dataclass(frozen=True)
class Overview:
    """How many rigs stand how; a rig that fails and drifts counts for both, and once for attention."""

    counts: Mapping[Show, int]
    studios: Sequence[tuple[str, int, int]]
    """Each studio's name, its rigs in use, and how many of them need attention."""

    @property
    def in_use(self) -> int:
        """Rigs that are not archived."""
        return self.counts[Show.ALL]


@dataclass(frozen=True)
class Scores:
    """A figure on held-out frames without fusion and with it; either may be unknown."""

    before: float | None
    after: float | None

    @property
    def gain(self) -> float | None:
        """What fusion adds."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class Job:
    """The newest adaptation of a rig; ``reason`` is its checkpoint's verdict."""

    id: str
    state: str
    stage: str
    progress: float
    eta_s: float | None
    detail: str
    created_at: datetime
    reason: str


@dataclass(frozen=True)
class Line:
    """One rig of the page."""

    id: str
    name: str
    studio: str
    tags: Sequence[str]
    cameras: int
    standing: Show
    checkpoint: str | None
    adapted_at: datetime | None
    jdr: Scores
    reprojection_px: Scores
    mpjpe_mm: Scores
    ratio: float | None
    drifting: bool
    last_request_at: datetime | None
    requests: int
    job: Job | None
    waiting_frames: int
    """Labelled frames that came after the newest adaptation."""


@dataclass(frozen=True)
class Found:
    """A page of rigs."""

    lines: Sequence[Line]
    total: int
    page: int

    @property
    def pages(self) -> int:
        """How many there are; one also where there is nothing."""
        return max(1, -(-self.total // PAGE))


def overview(session: Session) -> Overview:
    """Count all rigs."""
    grouped = (RigRow.studio, STANDING.label("standing"), DRIFTING.label("drifting"), NO_CHECKPOINT.label("bare"))
    inner = fenced(standings(*grouped))
    query = select(*inner.c, func.count().label("rigs")).group_by(*inner.c)
    counts: Counter[Show] = Counter(dict.fromkeys(Show, 0))
    studios: Counter[str] = Counter()
    troubled: Counter[str] = Counter()
    for row in session.execute(query):
        standing = Show(row.standing)
        counts[standing] += row.rigs
        if standing is Show.ARCHIVED:
            continue
        counts[Show.ALL] += row.rigs
        studios[row.studio] += row.rigs
        if standing in TROUBLES:
            counts[Show.ATTENTION] += row.rigs
            troubled[row.studio] += row.rigs
        for also, holds in ((Show.DRIFTING, row.drifting), (Show.NO_CHECKPOINT, row.bare)):
            counts[also] += row.rigs if holds and standing is not also else 0
    ordered = sorted(studios, key=lambda name: (-troubled[name], name.casefold()))
    return Overview(counts, [(name, studios[name], troubled[name]) for name in ordered])


def find(session: Session, asked: Asked, known: Overview) -> Found:
    """The page that was asked for, or the last one where there are fewer."""
    conditions = _conditions(asked)
    total = known.counts[asked.show]  # unless there is more to it
    if asked.words or asked.studio:
        total = session.scalar(standings(func.count()).where(*conditions)) or 0
    page = min(asked.page, max(1, -(-total // PAGE)))
    query = ordered(conditions, asked.sort, descending=asked.descending).limit(PAGE).offset((page - 1) * PAGE)
    return Found(_lines(session, session.scalars(query).all()), total, page)


def _conditions(asked: Asked) -> list[ColumnElement[bool]]:
    conditions = [shown(asked.show)]
    conditions += [RigRow.search_text.contains(word, autoescape=True) for word in asked.words]
    return [*conditions, RigRow.studio == asked.studio] if asked.studio else conditions


def _lines(session: Session, rig_ids: Sequence[str]) -> list[Line]:
    columns = (
        STANDING.label("standing"), RigRow.id, RigRow.name, RigRow.studio, RigRow.tags, RigRow.camera_count,
        RigRow.active_checkpoint_id,
        Active.created_at.label("adapted_at"), Active.jdr_before, Active.jdr_after, Active.reprojection_px_before,
        Active.reprojection_px_after, Active.mpjpe_mm_before, Active.mpjpe_mm_after, RATIO.label("ratio"),
        DRIFTING.label("drifting"), RigServingRow.last_request_at, RigServingRow.requests,
    )  # fmt: skip
    rows = {row.id: row for row in session.execute(standings(*columns).where(RigRow.id.in_(rig_ids)))}
    jobs, captures = _jobs(session, rig_ids), _captures(session, rig_ids)
    return [_line(rows[rig], jobs.get(rig), captures.get(rig)) for rig in rig_ids if rig in rows]


def _line(row: Any, job: Job | None, capture: Any) -> Line:
    waits = capture is not None and (job is None or capture.created_at > job.created_at)
    return Line(
        id=row.id,
        name=row.name,
        studio=row.studio,
        tags=row.tags or (),
        cameras=row.camera_count,
        standing=Show(row.standing),
        checkpoint=row.active_checkpoint_id,
        adapted_at=row.adapted_at,
        jdr=Scores(row.jdr_before, row.jdr_after),
        reprojection_px=Scores(row.reprojection_px_before, row.reprojection_px_after),
        mpjpe_mm=Scores(row.mpjpe_mm_before, row.mpjpe_mm_after),
        ratio=row.ratio,
        drifting=bool(row.drifting),
        last_request_at=row.last_request_at,
        requests=row.requests or 0,
        job=job,
        waiting_frames=capture.frames if waits else 0,
    )


def _jobs(session: Session, rig_ids: Sequence[str]) -> dict[str, Job]:
    job = AdaptationRow
    query = (
        select(job.id, job.rig_id, job.state, job.stage, job.progress, job.eta_s, job.error, job.created_at)
        .add_columns(CheckpointRow.reason)
        .outerjoin(CheckpointRow, CheckpointRow.adaptation_id == job.id)
        .where(job.rig_id.in_(rig_ids), newest(job))
    )
    return {
        row.rig_id: Job(
            id=row.id,
            state=row.state,
            stage=row.stage,
            progress=row.progress,
            eta_s=row.eta_s,
            detail=str((row.error or {}).get("detail") or ""),
            created_at=row.created_at,
            reason=row.reason or "",
        )
        for row in session.execute(query)
    }


def _captures(session: Session, rig_ids: Sequence[str]) -> dict[str, Any]:
    later = aliased(CaptureRow)
    unsurpassed = ~exists(
        select(later.id).where(
            later.rig_id == CaptureRow.rig_id, later.created_at > CaptureRow.created_at, later.purged_at.is_(None)
        )
    )
    query = select(CaptureRow.rig_id, CaptureRow.frames, CaptureRow.created_at)
    kept = and_(CaptureRow.rig_id.in_(rig_ids), CaptureRow.purged_at.is_(None), unsurpassed)
    return {row.rig_id: row for row in session.execute(query.where(kept))}

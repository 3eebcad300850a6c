"""Everything the page of a rig shows, read in a handful of queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.artifacts import Artifacts
from app.checkpoints import activation
from app.dashboard.rig import figures as reading
from app.dashboard.rig.advice import Advice, Covered, advise
from app.dashboard.rig.cameras import CameraLine, camera_lines
from app.dashboard.rig.figures import Figures
from app.dashboard.rig.labels import LabelCounts, count_labels
from app.dashboard.rig.matrix import Matrix, matrix
from app.dashboard.rig.next_step import LastJob, NextStep, Situation, next_step
from app.dashboard.rigs.asked import Show
from app.dashboard.rigs.standing import BADGES, standing_of
from app.errors import Conflict
from app.poses.rig_serving import Drift, RigServing, read_serving
from app.rigs.repository import get_rig
from app.tables import ActivationRow, AdaptationRow, CaptureRow, CheckpointRow, RigRow
from models.skeletons import SKELETONS

CHECKPOINTS_SHOWN = 30
ACTIVATIONS_SHOWN = 20
CAPTURES_SHOWN = 30


@dataclass(frozen=True)
class CheckpointEntry:
    """A line of the history."""

    row: CheckpointRow
    figures: Figures
    active: bool

    @property
    def can_serve(self) -> bool:
        """Whether it may be activated."""
        return not self.active and self.row.purged_at is None


@dataclass(frozen=True)
class CaptureEntry:
    """A capture, and what it says of its coverage."""

    row: CaptureRow
    distinct_poses: int | None
    least_covered: tuple[str, float] | None


@dataclass(frozen=True)
class RigView:
    """The whole page."""

    rig: RigRow
    standing: Show
    next: NextStep
    serving: RigServing
    figures: Figures | None
    figures_of: CheckpointEntry | None
    checkpoints: Sequence[CheckpointEntry]
    checkpoints_in_all: int
    activations: Sequence[ActivationRow]
    rollback: tuple[CheckpointEntry | None] | None
    captures: Sequence[CaptureEntry]
    captures_in_all: int
    cameras: Sequence[CameraLine]
    matrix: Matrix
    advice: Sequence[Advice]

    @property
    def badge(self) -> tuple[str, str]:
        """How it stands, as the rigs page tells it: the badge's class and its word."""
        return BADGES[self.standing]

    @property
    def scene(self) -> dict[str, Any]:
        """The calibration as the 3D view takes it."""
        return {"up": None, "volume": None, "units": "m", **self.rig.document}

    @property
    def states(self) -> dict[str, list[str]]:
        """What the 3D view marks of each camera."""
        return {line.id: [line.state, line.note] for line in self.cameras if line.state}

    @property
    def drift(self) -> Drift | None:
        """Whether what serves now drifts; what served before says nothing of it."""
        return self.serving.drift if self.serving.checkpoint == self.rig.active_checkpoint_id else None

    @property
    def active(self) -> CheckpointEntry | None:
        """What serves."""
        return next((entry for entry in self.checkpoints if entry.active), None)


def read_rig(session: Session, artifacts: Artifacts, rig_id: str) -> RigView:
    """The page of a rig; raises NotFound."""
    rig = get_rig(session, rig_id)
    entries, activations = _checkpoints(session, rig), _activations(session, rig_id)
    captures, serving = _captures(session, rig_id), read_serving(rig_id, session)
    told = _told(entries)
    ids = [str(camera["id"]) for camera in rig.document["cameras"]]
    joints = SKELETONS[rig.document["joints"]].joints
    counts = _counts(artifacts, captures, len(ids), len(joints))
    figures, covered = told.figures if told else None, _covered(captures)
    return RigView(
        rig=rig,
        standing=standing_of(session, rig.id),
        next=next_step(_situation(session, rig, entries, captures, serving)),
        serving=serving,
        figures=figures,
        figures_of=told,
        checkpoints=entries,
        checkpoints_in_all=_count(session, CheckpointRow, rig_id),
        activations=activations,
        rollback=_rollback(session, rig, entries),
        captures=captures,
        captures_in_all=_count(session, CaptureRow, rig_id),
        cameras=camera_lines(ids, figures, counts, covered.view_covered if covered else {}),
        matrix=matrix(ids, figures.pairs if figures else {}, counts),
        advice=advise(ids, joints, covered, counts, figures),
    )


def _checkpoints(session: Session, rig: RigRow) -> list[CheckpointEntry]:
    """The newest ones, and the active one however old it is."""
    query = select(CheckpointRow).where(CheckpointRow.rig_id == rig.id)
    rows = list(session.scalars(query.order_by(CheckpointRow.created_at.desc()).limit(CHECKPOINTS_SHOWN)))
    active = rig.active_checkpoint_id
    if active is not None and active not in {row.id for row in rows}:
        rows += session.scalars(query.where(CheckpointRow.id == active))
    return [CheckpointEntry(row, reading.read(row.manifest), row.id == active) for row in rows]


def _told(entries: Sequence[CheckpointEntry]) -> CheckpointEntry | None:
    """Whose figures are shown: the active checkpoint's, or else the newest one's."""
    return next((entry for entry in entries if entry.active), next(iter(entries), None))


def _activations(session: Session, rig_id: str) -> Sequence[ActivationRow]:
    query = select(ActivationRow).where(ActivationRow.rig_id == rig_id)
    return session.scalars(query.order_by(ActivationRow.id.desc()).limit(ACTIVATIONS_SHOWN)).all()


def _rollback(
    session: Session, rig: RigRow, entries: Sequence[CheckpointEntry]
) -> tuple[CheckpointEntry | None] | None:
    """Where rolling back leads: a checkpoint, or (None,) for no fusion; None where there is no way back."""
    if rig.active_checkpoint_id is None or rig.archived_at is not None:
        return None
    try:
        target = activation.rollback_target(session, rig.id)
    except Conflict:
        return None
    known = next((entry for entry in entries if entry.row.id == target), None)
    if target is not None and known is None:
        row = session.get_one(CheckpointRow, target)
        known = CheckpointEntry(row, reading.read(row.manifest), active=False)
    return (known,)


def _captures(session: Session, rig_id: str) -> list[CaptureEntry]:
    query = select(CaptureRow).where(CaptureRow.rig_id == rig_id).order_by(CaptureRow.created_at.desc())
    return [_capture(row) for row in session.scalars(query.limit(CAPTURES_SHOWN))]


def _capture(row: CaptureRow) -> CaptureEntry:
    shares = _view_covered(row)
    least = min(shares, key=lambda camera: shares[camera]) if shares else None
    distinct = row.coverage.get("distinct_poses")
    return CaptureEntry(
        row, distinct if isinstance(distinct, int) else None, None if least is None else (least, shares[least])
    )


def _view_covered(row: CaptureRow) -> dict[str, float]:
    cameras = row.coverage.get("cameras")
    rows = cameras.items() if isinstance(cameras, dict) else ()
    shares = {camera: told.get("view_covered") for camera, told in rows if isinstance(told, dict)}
    return {camera: float(share) for camera, share in shares.items() if isinstance(share, int | float)}


def _newest_usable(captures: Sequence[CaptureEntry]) -> CaptureEntry | None:
    return next((entry for entry in captures if entry.row.purged_at is None), None)


def _covered(captures: Sequence[CaptureEntry]) -> Covered | None:
    newest = next(iter(captures), None)
    if newest is None:
        return None
    return Covered(newest.row.frames, newest.distinct_poses, _view_covered(newest.row))


def _counts(artifacts: Artifacts, captures: Sequence[CaptureEntry], cameras: int, joints: int) -> LabelCounts | None:
    newest = _newest_usable(captures)
    return None if newest is None else count_labels(artifacts, newest.row.labels_sha256, cameras, joints)


def _situation(
    session: Session,
    rig: RigRow,
    entries: Sequence[CheckpointEntry],
    captures: Sequence[CaptureEntry],
    serving: RigServing,
) -> Situation:
    usable, newest = _newest_usable(captures), next(iter(entries), None)
    drift = serving.drift if serving.checkpoint == rig.active_checkpoint_id else None
    refused = newest is not None and not newest.active and not newest.row.promoted
    return Situation(
        rig=rig.id,
        archived=rig.archived_at is not None,
        captures=len(captures),
        usable_capture=usable.row.id if usable else None,
        has_active=rig.active_checkpoint_id is not None,
        has_good=any(entry.can_serve and entry.row.promoted for entry in entries),
        job=_last_job(session, rig.id),
        newest_refused=newest.row.reason or "No reason was told." if newest is not None and refused else None,
        drift_ratio=drift.ratio if drift is not None and drift.word == "drifting" else None,
        views_used=serving.views_used,
        cameras=len(rig.document["cameras"]),
    )


def _last_job(session: Session, rig_id: str) -> LastJob | None:
    query = select(AdaptationRow).where(AdaptationRow.rig_id == rig_id)
    row = session.scalars(query.order_by(AdaptationRow.created_at.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    error = (row.error or {}).get("detail") or ""
    verdict = (row.metrics or {}).get("reason") or ""
    return LastJob(row.id, row.state, row.stage, row.progress, row.capture_id, str(error), str(verdict))


def _count(session: Session, table: type[CheckpointRow] | type[CaptureRow], rig_id: str) -> int:
    return session.scalar(select(func.count()).select_from(table).where(table.rig_id == rig_id)) or 0

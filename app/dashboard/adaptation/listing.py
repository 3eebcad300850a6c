"""The list of adaptations, newest first: what operators look through for what failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.adaptations.states import State
from app.pagination import PageRequest, fetch_page
from app.tables import AdaptationRow, CheckpointRow, RigRow


@dataclass(frozen=True)
class Asked:
    """Which adaptations are shown."""

    state: State | None
    rig: str
    cursor: str

    def query(self, **changed: str) -> str:
        """The address of this list, or of another one like it."""
        told = {"state": self.state or "", "rig": self.rig, "cursor": self.cursor} | changed
        said = {name: value for name, value in told.items() if value}
        return f"?{urlencode(said)}" if said else ""


@dataclass(frozen=True)
class Listed:
    """A row; ``promoted`` is None where it has made no checkpoint."""

    job: AdaptationRow
    rig_name: str
    promoted: bool | None
    reason: str

    @property
    def seconds(self) -> float | None:
        """From its first attempt to its end."""
        job = self.job
        return (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else None

    @property
    def told(self) -> str:
        """What there is to say of it in a line."""
        if self.job.state == State.FAILED:
            return str((self.job.error or {}).get("detail") or "")
        return self.reason.removeprefix("Promoted: ").removeprefix("Not promoted: ")


@dataclass(frozen=True)
class Listing:
    """The page."""

    asked: Asked
    rows: Sequence[Listed]
    counts: Mapping[str, int]
    next_cursor: str | None
    rig_name: str

    @property
    def total(self) -> int:
        """Adaptations in all."""
        return sum(self.counts.values())


def read(session: Session, asked: Asked, page: PageRequest) -> Listing:
    """The page that was asked for."""
    statement, counted = select(AdaptationRow), select(AdaptationRow.state, func.count()).group_by(AdaptationRow.state)
    if asked.rig:
        statement = statement.where(AdaptationRow.rig_id == asked.rig)
        counted = counted.where(AdaptationRow.rig_id == asked.rig)
    if asked.state is not None:
        statement = statement.where(AdaptationRow.state == asked.state)
    jobs, next_cursor = fetch_page(session, statement, page, table=AdaptationRow)
    wanted = {job.rig_id for job in jobs} | {asked.rig}
    names = dict(session.execute(select(RigRow.id, RigRow.name).where(RigRow.id.in_(wanted))).all())
    found = select(CheckpointRow.adaptation_id, CheckpointRow.promoted, CheckpointRow.reason)
    made = {row[0]: row for row in session.execute(found.where(CheckpointRow.adaptation_id.in_([j.id for j in jobs])))}
    rows = [
        Listed(job, names.get(job.rig_id, job.rig_id), *(made[job.id][1:] if job.id in made else (None, "")))
        for job in jobs
    ]
    counts = dict(session.execute(counted).all())
    return Listing(asked, rows, counts, next_cursor, names.get(asked.rig, asked.rig))

"""How much work waits and runs, by priority; read through indexes alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.adaptations.priority import Priority
from app.adaptations.states import State
from app.tables import AdaptationRow

UNFINISHED = (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class Depth:
    """How many adaptations are in a state, and when the oldest of them was asked for."""

    jobs: int = 0
    oldest: datetime | None = None


def depths(session: Session) -> Mapping[tuple[State, Priority], Depth]:
    """What waits and what runs, of every priority."""
    query = (
        select(
            AdaptationRow.state,
            AdaptationRow.priority,
            func.count().label("jobs"),
            func.min(AdaptationRow.created_at).label("oldest"),
        )
        .where(AdaptationRow.state.in_(UNFINISHED))
        .group_by(AdaptationRow.state, AdaptationRow.priority)
    )
    found = {(row.state, row.priority): Depth(row.jobs, row.oldest) for row in session.execute(query)}
    return {(state, priority): found.get((state, priority), Depth()) for state in UNFINISHED for priority in Priority}

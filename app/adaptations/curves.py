"""Learning curves as events of an adaptation: written a few points at a time, read as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.adaptations.states import State, record
from app.tables import AdaptationEventRow

KIND = "curve"
_ABOUT = {"state", "attempt", "phase", "at"}  # what an event says beside its points


@dataclass(frozen=True)
class Curve:
    """Points (step, value) of the curves of one phase of learning, by their names."""

    phase: str
    points: Mapping[str, Sequence[tuple[int, float]]]


def write(session: Session, adaptation_id: str, attempt: int, curves: Sequence[Curve]) -> None:
    """Add new points to an attempt's curves."""
    for curve in curves:
        points = {name: [list(point) for point in told] for name, told in curve.points.items()}
        data = {"state": State.RUNNING, "attempt": attempt, "phase": curve.phase, **points}
        record(session, adaptation_id, KIND, data)


def read(session: Session, adaptation_id: str) -> tuple[Curve, ...]:
    """The curves of the last attempt that told any, by phase, in the order in which they were told."""
    query = (
        select(AdaptationEventRow.kind, AdaptationEventRow.data)
        .where(AdaptationEventRow.adaptation_id == adaptation_id, AdaptationEventRow.kind.in_([KIND, State.RUNNING]))
        .order_by(AdaptationEventRow.id)
    )
    phases: dict[str, dict[str, list[tuple[int, float]]]] = {}
    begins = False
    for kind, data in session.execute(query):
        begins = begins or kind == State.RUNNING  # the number tells no attempts apart: one given back does not count
        if kind == KIND:
            phases, begins = {} if begins else phases, False
            curves = phases.setdefault(data["phase"], {})
            for name in data.keys() - _ABOUT:
                curves.setdefault(name, []).extend((step, value) for step, value in data[name])
    return tuple(Curve(phase, points) for phase, points in phases.items())

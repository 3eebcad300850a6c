"""The states of an adaptation, and the only place where one becomes another.

    queued ──▶ running ──▶ succeeded
      │ ▲        │  │────▶ failed
      │ └────────┘  └────▶ cancelled
      └──────────────────▶ cancelled, or failed where its capture was purged

A move is one conditional UPDATE and one event: of two processes that try the same move, one makes it. The event is
written after the row is locked by the UPDATE, so the events of one adaptation are numbered in the order of commits.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, update
from sqlalchemy.orm import Session

from app.tables import AdaptationEventRow, AdaptationRow


class State(StrEnum):
    """Where an adaptation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


MOVES: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
FINISHED = frozenset(state for state, targets in MOVES.items() if not targets)


class IllegalMove(Exception):
    """The code asked for a move that no adaptation may make."""


def move(
    session: Session,
    adaptation_id: str,
    source: State,
    target: State,
    *conditions: ColumnElement[bool],
    event: Mapping[str, Any] | None = None,
    **values: Any,
) -> bool:
    """Move an adaptation from ``source`` to ``target`` and set ``values``; False where it is not in ``source``.

    ``conditions`` narrow the UPDATE further, such as to the holder of the lease. Raises IllegalMove.
    """
    if target not in MOVES[source]:
        raise IllegalMove(f"an adaptation cannot go from {source} to {target}")
    if not change(session, adaptation_id, AdaptationRow.state == source, *conditions, state=target, **values):
        return False
    record(session, adaptation_id, target, {"state": target, **(event or {})})
    return True


def change(session: Session, adaptation_id: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
    """Set ``values`` where the conditions hold; says whether they did."""
    statement = (
        update(AdaptationRow)
        .where(AdaptationRow.id == adaptation_id, *conditions)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    result = session.execute(statement)
    assert isinstance(result, CursorResult)  # noqa: S101 - what SQLAlchemy answers to an UPDATE
    return result.rowcount == 1


def record(session: Session, adaptation_id: str, kind: str, data: Mapping[str, Any]) -> None:
    """Add an event for those who follow the adaptation."""
    session.add(AdaptationEventRow(adaptation_id=adaptation_id, kind=kind, data=dict(data)))
    session.flush()

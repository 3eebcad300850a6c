"""The attempts at an adaptation and why each ended, as its events tell them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.adaptations.states import State
from app.tables import AdaptationEventRow


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GIVEN_BACK = "given_back"
    RECLAIMED = "reclaimed"


@dataclass(frozen=True)
class Ending:
    """Why an attempt ended: ``reason`` for people, ``cause`` for counting, and the seconds it spent in each stage."""

    outcome: Outcome
    reason: str = ""
    cause: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    def event(self, attempt: int) -> dict[str, Any]:
        """What the event says of it."""
        seconds = {stage: round(value, 3) for stage, value in self.seconds.items()}
        told = {"reason": self.reason, "stage_seconds": seconds}
        return {"attempt": attempt, "outcome": self.outcome, **{name: value for name, value in told.items() if value}}


@dataclass(frozen=True)
class Attempt:
    """One attempt; without an outcome while it runs."""

    attempt: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """What an adaptation has been through; ``retry_of`` is the adaptation whose request it repeats."""

    attempts: tuple[Attempt, ...] = ()
    retry_of: str | None = None


def histories(session: Session, adaptation_ids: Iterable[str]) -> dict[str, History]:
    """The histories of several adaptations, read together."""
    told: dict[str, list[AdaptationEventRow]] = defaultdict(list)
    query = (
        select(AdaptationEventRow)
        .where(AdaptationEventRow.adaptation_id.in_(list(adaptation_ids)), AdaptationEventRow.kind.in_(list(State)))
        .order_by(AdaptationEventRow.id)
    )
    for event in session.scalars(query):
        told[event.adaptation_id].append(event)
    return {adaptation_id: _read(events) for adaptation_id, events in told.items()}


def _read(events: Iterable[AdaptationEventRow]) -> History:
    history = History()
    for event in events:
        data, before = event.data, history.attempts
        if event.kind == State.RUNNING:
            begun = Attempt(int(data.get("attempt", len(before) + 1)), event.created_at)
            history = replace(history, attempts=(*before, begun))
        elif "retry_of" in data:
            history = replace(history, retry_of=data["retry_of"])
        elif before and before[-1].ended_at is None:
            history = replace(history, attempts=(*before[:-1], _ended(before[-1], event)))
    return history


def _ended(attempt: Attempt, event: AdaptationEventRow) -> Attempt:
    data = event.data
    # Events of before outcomes were told: queued again after a reason, or the state that it ended in.
    outcome = data.get("outcome") or (Outcome.FAILED if event.kind == State.QUEUED else event.kind)
    reason = data.get("reason") or (data.get("error") or {}).get("detail")
    return replace(
        attempt,
        ended_at=event.created_at,
        outcome=Outcome(outcome),
        reason=reason,
        stage_seconds=data.get("stage_seconds", {}),
    )

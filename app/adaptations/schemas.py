"""What goes over the wire for adaptations."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.adaptations.attempts import Attempt, History, Outcome
from app.adaptations.priority import Priority
from app.adaptations.states import State
from app.tables import AdaptationRow
from app.wire import NoText, Time
from models.methods import DEFAULT_METHOD, METHODS, described

_METHODS, _OPTIONS = described()
_PRIORITY = "`interactive` jobs run before all `batch` ones"


class AdaptationRequest(BaseModel):
    """What to adapt a rig to, and how."""

    model_config = ConfigDict(extra="forbid")

    capture: str = Field(max_length=40, description="id of a capture of this rig")
    method: str = Field(
        default=DEFAULT_METHOD,
        max_length=40,
        description=f"how to adapt\n\n{_METHODS}",
        json_schema_extra={"enum": [*METHODS]},  # refused by the table of methods, in its words
    )
    seed: Annotated[int, Field(ge=0, lt=2**32), NoText] = Field(
        default=0, description="the same seed gives the same checkpoint"
    )
    options: dict[str, Any] = Field(default_factory=dict, description=f"options of the method\n\n{_OPTIONS}")
    priority: Priority = Field(default=Priority.INTERACTIVE, description=_PRIORITY)


class AdaptationError(BaseModel):
    """Why an adaptation failed."""

    code: str
    detail: str
    cause: str | None = Field(
        default=None, description="the code of what really went wrong; another one where attempts ran out"
    )


class AttemptTold(BaseModel):
    """One attempt at an adaptation: when, how it ended, and why."""

    attempt: int
    started_at: Time
    ended_at: Time | None
    outcome: Outcome | None = Field(description="null while it runs")
    reason: str | None
    stage_seconds: dict[str, float] = Field(description="the seconds that were spent in each stage")

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptTold":
        """The attempt as a client sees it."""
        return cls(
            attempt=attempt.attempt,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            outcome=attempt.outcome,
            reason=attempt.reason,
            stage_seconds=dict(attempt.stage_seconds),
        )


class Adaptation(BaseModel):
    """An adaptation as it stands now."""

    id: str
    rig: str
    capture: str
    method: str
    seed: int
    options: dict[str, Any]
    priority: Priority = Field(description=_PRIORITY)
    state: State
    stage: str
    progress: float = Field(ge=0, le=1)
    eta_s: float | None
    attempt: int
    cancel_requested: bool
    metrics: dict[str, Any] | None
    checkpoint: str | None
    error: AdaptationError | None
    stage_seconds: dict[str, float] = Field(description="the seconds of each stage of the last attempt that told them")
    attempts: list[AttemptTold] = Field(description="every attempt, and why it ended")
    retry_of: str | None = Field(description="the adaptation that this one repeats")
    created_at: Time
    started_at: Time | None
    finished_at: Time | None

    @classmethod
    def of(cls, row: AdaptationRow, history: History) -> "Adaptation":
        """The row as a client sees it."""
        return cls(
            id=row.id,
            rig=row.rig_id,
            capture=row.capture_id,
            method=row.method,
            seed=row.seed,
            options=row.options,
            priority=Priority(row.priority),
            state=State(row.state),
            stage=row.stage,
            progress=row.progress,
            eta_s=row.eta_s,
            attempt=row.attempt,
            cancel_requested=row.cancel_requested,
            metrics=row.metrics,
            checkpoint=row.checkpoint_id,
            error=None if row.error is None else AdaptationError(**row.error),
            stage_seconds=row.stage_seconds or {},
            attempts=[AttemptTold.of(attempt) for attempt in history.attempts],
            retry_of=history.retry_of,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )

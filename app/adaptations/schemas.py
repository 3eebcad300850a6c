"""What goes over the wire for adaptations."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.adaptations.states import State
from app.tables import AdaptationRow
from app.wire import Time
from models.methods import DEFAULT_METHOD, described

_METHODS, _OPTIONS = described()


class AdaptationRequest(BaseModel):
    """What to adapt a rig to, and how."""

    model_config = ConfigDict(extra="forbid")

    capture: str = Field(max_length=40, description="id of a capture of this rig")
    method: str = Field(default=DEFAULT_METHOD, max_length=40, description=f"how to adapt\n\n{_METHODS}")
    seed: int = Field(default=0, ge=0, lt=2**32, description="the same seed gives the same checkpoint")
    options: dict[str, Any] = Field(default_factory=dict, description=f"options of the method\n\n{_OPTIONS}")


class AdaptationError(BaseModel):
    """Why an adaptation failed."""

    code: str
    detail: str


class Adaptation(BaseModel):
    """An adaptation as it stands now."""

    id: str
    rig: str
    capture: str
    method: str
    seed: int
    options: dict[str, Any]
    state: State
    stage: str
    progress: float = Field(ge=0, le=1)
    eta_s: float | None
    attempt: int
    cancel_requested: bool
    metrics: dict[str, Any] | None
    checkpoint: str | None
    error: AdaptationError | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None

    @classmethod
    def of(cls, row: AdaptationRow) -> "Adaptation":
        """The row as a client sees it."""
        return cls(
            id=row.id,
            rig=row.rig_id,
            capture=row.capture_id,
            method=row.method,
            seed=row.seed,
            options=row.options,
            state=State(row.state),
            stage=row.stage,
            progress=row.progress,
            eta_s=row.eta_s,
            attempt=row.attempt,
            cancel_requested=row.cancel_requested,
            metrics=row.metrics,
            checkpoint=row.checkpoint_id,
            error=None if row.error is None else AdaptationError(**row.error),
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )

"""What goes over the wire for workers."""

from pydantic import BaseModel, Field

from app.tables import WorkerRow
from app.wire import Time


class Worker(BaseModel):
    """A worker process as it last reported itself."""

    id: str
    alive: bool = Field(description="it has not said goodbye, and was seen within a lease's time")
    host: str
    pid: int
    version: str
    device: str
    memory_total: int | None = Field(description="bytes that its adaptations may use; null where unknown")
    memory_free: int | None = Field(description="bytes of them that were free")
    adaptation: str | None = Field(description="what it runs now")
    started_at: Time
    seen_at: Time
    stopped_at: Time | None

    @classmethod
    def of(cls, row: WorkerRow, *, alive: bool) -> "Worker":
        """The row as a client sees it."""
        return cls(
            id=row.id,
            alive=alive,
            host=row.host,
            pid=row.pid,
            version=row.version,
            device=row.device,
            memory_total=row.memory_total,
            memory_free=row.memory_free,
            adaptation=row.adaptation_id,
            started_at=row.started_at,
            seen_at=row.seen_at,
            stopped_at=row.stopped_at,
        )


class Workers(BaseModel):
    """All workers of the last day."""

    items: list[Worker]
    next_cursor: None = None

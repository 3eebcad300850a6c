"""Adaptations, what happened to them, and the workers that run them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base, Counter, Document, Identifier, Sha256, Studio, utc_now


class AdaptationRow(Base):
    """A job that turns a capture into a checkpoint; this row, not the queue's message, is the truth."""

    __tablename__ = "adaptations"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "state", "lease_expires_at"),
        Index(None, "state", "priority", "created_at"),
        Index(None, "rig_id", "created_at", "state"),
        UniqueConstraint("studio", "idempotency_key"),
    )

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    studio: Mapped[str] = mapped_column(Studio, default="")
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    capture_id: Mapped[str] = mapped_column(Identifier, ForeignKey("captures.id"))
    method: Mapped[str] = mapped_column(String(40))
    seed: Mapped[int] = mapped_column(BigInteger)
    options: Mapped[dict[str, Any]] = mapped_column(Document, default=dict)
    priority: Mapped[str] = mapped_column(String(16), default="interactive")
    state: Mapped[str] = mapped_column(String(16), default="queued")
    stage: Mapped[str] = mapped_column(String(80), default="queued")
    progress: Mapped[float] = mapped_column(default=0.0)
    eta_s: Mapped[float | None]
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    metrics: Mapped[dict[str, Any] | None] = mapped_column(Document)
    error: Mapped[dict[str, Any] | None] = mapped_column(Document)
    checkpoint_id: Mapped[str | None] = mapped_column(Identifier, ForeignKey("checkpoints.id", use_alter=True))
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    request_id: Mapped[str] = mapped_column(String(64), default="")
    traceparent: Mapped[str | None] = mapped_column(String(64))
    stage_seconds: Mapped[dict[str, float] | None] = mapped_column(Document)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class AdaptationEventRow(Base):
    """One thing that happened to an adaptation, in order; what server-sent events are read from."""

    __tablename__ = "adaptation_events"
    __table_args__ = (Index(None, "adaptation_id", "id"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    adaptation_id: Mapped[str] = mapped_column(Identifier, ForeignKey("adaptations.id"))
    kind: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]] = mapped_column(Document)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class AdaptationPartRow(Base):
    """One piece of a large rig's adaptation that any worker may learn; its result is an artifact."""

    __tablename__ = "adaptation_parts"
    __table_args__ = (UniqueConstraint("adaptation_id", "number"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    adaptation_id: Mapped[str] = mapped_column(Identifier, ForeignKey("adaptations.id"))
    number: Mapped[int] = mapped_column(Integer)
    work: Mapped[dict[str, Any]] = mapped_column(Document)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    owner: Mapped[str | None] = mapped_column(String(200))
    lease_expires_at: Mapped[datetime | None]
    artifact_sha256: Mapped[str | None] = mapped_column(Sha256)


class WorkerRow(Base):
    """A worker process as it last reported itself."""

    __tablename__ = "workers"
    __table_args__ = (Index(None, "seen_at"),)

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    host: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(40))
    device: Mapped[str] = mapped_column(String(200))
    memory_total: Mapped[int | None] = mapped_column(BigInteger)
    memory_free: Mapped[int | None] = mapped_column(BigInteger)
    store: Mapped[str] = mapped_column(String(64), default="")
    adaptation_id: Mapped[str | None] = mapped_column(Identifier)
    started_at: Mapped[datetime] = mapped_column(default=utc_now)
    seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    stopped_at: Mapped[datetime | None]


class TotalRow(Base):
    """A total that workers add to and Prometheus reads through any API process, such as seconds spent in a stage."""

    __tablename__ = "totals"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    label: Mapped[str] = mapped_column(String(120), primary_key=True, default="")
    value: Mapped[float] = mapped_column(default=0.0)

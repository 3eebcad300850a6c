"""The relational schema: rows hold state and lineage, the artifact store holds bytes."""

import secrets
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
IdPrefix = Literal["rig", "cap", "ada", "ckp"]

Document = JSON(none_as_null=True)
Sha256 = String(64)
Identifier = String(40)
# SQLite only counts up by itself in a column that is exactly INTEGER.
Counter = BigInteger().with_variant(Integer(), "sqlite")


def new_id(prefix: IdPrefix) -> str:
    """An opaque identifier such as ``rig_5f0c…``; not guessable, and it tells a reader what it names."""
    return f"{prefix}_{secrets.token_hex(12)}"


def utc_now() -> datetime:
    """The time now, aware and in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times on every database; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Answer aware UTC times."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Declarative base: one naming convention, so that migrations name every constraint alike."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 -- SQLAlchemy's own hook


class RigRow(Base):
    """A registered camera rig; ``document`` is the calibration in its canonical form."""

    __tablename__ = "rigs"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    notes: Mapped[str] = mapped_column(Text, default="")
    tags: Mapped[list[str]] = mapped_column(Document, default=list)
    revision: Mapped[int] = mapped_column(Integer, default=1)
    digest: Mapped[str] = mapped_column(Sha256)
    document: Mapped[dict[str, Any]] = mapped_column(Document)
    active_checkpoint_id: Mapped[str | None] = mapped_column(Identifier, ForeignKey("checkpoints.id", use_alter=True))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    archived_at: Mapped[datetime | None]


class CaptureRow(Base):
    """A sealed set of labelled frames of one rig."""

    __tablename__ = "captures"
    __table_args__ = (Index(None, "rig_id", "created_at"),)

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    kind: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(Sha256)
    frames: Mapped[int] = mapped_column(Integer)
    labelled_joints: Mapped[int] = mapped_column(Integer)
    coverage: Mapped[dict[str, Any]] = mapped_column(Document)
    warnings: Mapped[list[str]] = mapped_column(Document)
    labels_sha256: Mapped[str] = mapped_column(Sha256)
    source_sha256: Mapped[str] = mapped_column(Sha256)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class AdaptationRow(Base):
    """A job that turns a capture into a checkpoint; this row, not the queue's message, is the truth."""

    __tablename__ = "adaptations"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "state", "lease_expires_at"),
        Index(None, "rig_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    capture_id: Mapped[str] = mapped_column(Identifier, ForeignKey("captures.id"))
    method: Mapped[str] = mapped_column(String(40))
    seed: Mapped[int] = mapped_column(BigInteger)
    options: Mapped[dict[str, Any]] = mapped_column(Document, default=dict)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    stage: Mapped[str] = mapped_column(String(80), default="queued")
    progress: Mapped[float] = mapped_column(default=0.0)
    eta_s: Mapped[float | None]
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    metrics: Mapped[dict[str, Any] | None] = mapped_column(Document)
    error: Mapped[dict[str, Any] | None] = mapped_column(Document)
    checkpoint_id: Mapped[str | None] = mapped_column(Identifier, ForeignKey("checkpoints.id", use_alter=True))
    idempotency_key: Mapped[str | None] = mapped_column(String(200), unique=True)
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


class CheckpointRow(Base):
    """The immutable result of an adaptation; its bytes lie in the artifact store."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index(None, "rig_id", "created_at"),)

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    adaptation_id: Mapped[str] = mapped_column(Identifier, ForeignKey("adaptations.id"), unique=True)
    capture_id: Mapped[str] = mapped_column(Identifier, ForeignKey("captures.id"))
    method: Mapped[str] = mapped_column(String(40))
    seed: Mapped[int] = mapped_column(BigInteger)
    artifact_sha256: Mapped[str] = mapped_column(Sha256)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    manifest: Mapped[dict[str, Any]] = mapped_column(Document)
    promoted: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ActivationRow(Base):
    """A change of a rig's active checkpoint; rolling back reads this history."""

    __tablename__ = "activations"
    __table_args__ = (Index(None, "rig_id", "id"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    checkpoint_id: Mapped[str | None] = mapped_column(Identifier, ForeignKey("checkpoints.id"))
    action: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

"""Rigs, their captures and checkpoints, and which checkpoint serves."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, event
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column

from app.tables.base import Base, Counter, Document, Identifier, Sha256, Studio, utc_now
from app.told import mapping, number


def _inserted(context: DefaultExecutionContext, column: str) -> Any:
    return context.get_current_parameters()[column]  # type: ignore[no-untyped-call]


def _cameras_of_document(context: DefaultExecutionContext) -> int:
    return len(_inserted(context, "document").get("cameras", ()))


def _search_text(context: DefaultExecutionContext) -> str:
    given = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return searchable(given["id"], given["name"], given.get("studio") or "", given.get("tags") or ())


def searchable(rig_id: str, name: str, studio: str, tags: Sequence[str]) -> str:
    """What a rig is found by; folded here, since databases do not agree on the cases of letters."""
    return "\n".join([name, studio, rig_id, *tags]).casefold()


def _scores(context: DefaultExecutionContext, system: str) -> Mapping[str, Any]:
    return mapping(mapping(_inserted(context, "manifest").get("metrics")).get(system))


def _held_out_px(context: DefaultExecutionContext) -> float | None:
    fused = _scores(context, "fused")
    return number(fused.get("reprojection_median_px")) or number(fused.get("reprojection_px")) or None


def _score(system: str, name: str) -> Callable[[DefaultExecutionContext], float | None]:
    return lambda context: number(_scores(context, system).get(name))


class RigRow(Base):
    """A registered camera rig; ``document`` is the calibration in its canonical form."""

    __tablename__ = "rigs"
    __table_args__ = (Index(None, "created_at", "id"), Index(None, "studio", "created_at"))

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    studio: Mapped[str] = mapped_column(Studio, default="")
    name: Mapped[str] = mapped_column(String(200))
    notes: Mapped[str] = mapped_column(Text, default="")
    tags: Mapped[list[str]] = mapped_column(Document, default=list)
    revision: Mapped[int] = mapped_column(Integer, default=1)
    digest: Mapped[str] = mapped_column(Sha256)
    document: Mapped[dict[str, Any]] = mapped_column(Document)
    active_checkpoint_id: Mapped[str | None] = mapped_column(Identifier, ForeignKey("checkpoints.id", use_alter=True))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    archived_at: Mapped[datetime | None]
    capture_retention_days: Mapped[int | None] = mapped_column(Integer)
    checkpoints_kept: Mapped[int | None] = mapped_column(Integer)
    camera_count: Mapped[int] = mapped_column(Integer, default=_cameras_of_document)
    search_text: Mapped[str] = mapped_column(Text, default=_search_text)
    request_frames_kept: Mapped[int] = mapped_column(Integer, default=0)


@event.listens_for(RigRow, "before_update")
def _find_by_its_new_name(_mapper: object, _connection: object, row: RigRow) -> None:
    row.search_text = searchable(row.id, row.name, row.studio, row.tags)


class CaptureRow(Base):
    """A sealed set of labelled frames of one rig; what was purged keeps its row, for lineage, and loses its bytes."""

    __tablename__ = "captures"
    __table_args__ = (
        Index(None, "created_at"),
        Index(None, "rig_id", "created_at"),
        Index(None, "labels_sha256"),
        Index(None, "source_sha256"),
    )

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    studio: Mapped[str] = mapped_column(Studio, default="")
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    kind: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(Sha256)
    frames: Mapped[int] = mapped_column(Integer)
    labelled_joints: Mapped[int] = mapped_column(Integer)
    coverage: Mapped[dict[str, Any]] = mapped_column(Document)
    warnings: Mapped[list[str]] = mapped_column(Document)
    labels_sha256: Mapped[str] = mapped_column(Sha256)
    source_sha256: Mapped[str] = mapped_column(Sha256)
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    purged_at: Mapped[datetime | None]


class CheckpointRow(Base):
    """The immutable result of an adaptation or an import; its bytes are artifacts until it is purged.

    The scores ``…_before`` (No-Fusion) and ``…_after`` (fused) are those of the manifest, beside it to be sorted by;
    ``held_out_px``, the median reprojection error, is what drift is measured against.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (
        Index(None, "rig_id", "created_at"),
        Index(None, "promoted", "adaptation_id"),
        Index(None, "artifact_sha256"),
    )

    id: Mapped[str] = mapped_column(Identifier, primary_key=True)
    studio: Mapped[str] = mapped_column(Studio, default="")
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    adaptation_id: Mapped[str | None] = mapped_column(Identifier, ForeignKey("adaptations.id"), unique=True)
    capture_id: Mapped[str | None] = mapped_column(Identifier, ForeignKey("captures.id"))
    origin: Mapped[dict[str, Any] | None] = mapped_column(Document)
    method: Mapped[str] = mapped_column(String(40))
    seed: Mapped[int] = mapped_column(BigInteger)
    artifact_sha256: Mapped[str] = mapped_column(Sha256)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    manifest: Mapped[dict[str, Any]] = mapped_column(Document)
    promoted: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str] = mapped_column(Text, default="")
    pinned: Mapped[bool] = mapped_column(default=False)
    jdr_before: Mapped[float | None] = mapped_column(default=_score("no_fusion", "jdr"))
    jdr_after: Mapped[float | None] = mapped_column(default=_score("fused", "jdr"))
    reprojection_px_before: Mapped[float | None] = mapped_column(default=_score("no_fusion", "reprojection_px"))
    reprojection_px_after: Mapped[float | None] = mapped_column(default=_score("fused", "reprojection_px"))
    mpjpe_mm_before: Mapped[float | None] = mapped_column(default=_score("no_fusion", "mpjpe_mm"))
    mpjpe_mm_after: Mapped[float | None] = mapped_column(default=_score("fused", "mpjpe_mm"))
    held_out_px: Mapped[float | None] = mapped_column(default=_held_out_px)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    purged_at: Mapped[datetime | None]


class ActivationRow(Base):
    """A change of a rig's active checkpoint; rolling back reads this history."""

    __tablename__ = "activations"
    __table_args__ = (Index(None, "rig_id", "id"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    checkpoint_id: Mapped[str | None] = mapped_column(Identifier, ForeignKey("checkpoints.id"))
    action: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(Identifier, default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class RigServingRow(Base):
    """How a rig is served of late: written now and then by the API, read by operators."""

    __tablename__ = "rig_serving"
    __table_args__ = (Index(None, "last_request_at"),)

    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"), primary_key=True)
    checkpoint_id: Mapped[str | None] = mapped_column(Identifier)
    requests: Mapped[int] = mapped_column(BigInteger, default=0)
    frames: Mapped[int] = mapped_column(BigInteger, default=0)
    reprojection_px: Mapped[float | None]
    views_used: Mapped[float | None]
    last_request_at: Mapped[datetime] = mapped_column(default=utc_now)


class RequestFrameRow(Base):
    """One frame of a pose request, kept to be looked at where the rig allows it; its bytes are an artifact."""

    __tablename__ = "request_frames"
    __table_args__ = (Index(None, "rig_id", "id"), Index(None, "source_sha256"))

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    rig_id: Mapped[str] = mapped_column(Identifier, ForeignKey("rigs.id"))
    checkpoint_id: Mapped[str | None] = mapped_column(Identifier)
    frame: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(16))
    source_sha256: Mapped[str] = mapped_column(Sha256)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

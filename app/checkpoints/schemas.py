"""What goes over the wire for checkpoints."""

from typing import Any

from pydantic import BaseModel

from app.tables import CheckpointRow
from app.wire import Time


class Checkpoint(BaseModel):
    """A checkpoint, without its measurements."""

    id: str
    rig: str
    adaptation: str
    capture: str
    method: str
    seed: int
    active: bool
    promoted: bool
    reason: str
    artifact_sha256: str
    size_bytes: int
    created_at: Time

    @classmethod
    def of(cls, row: CheckpointRow, active_id: str | None) -> "Checkpoint":
        """The row as a client sees it; ``active_id`` is what the rig serves with."""
        return cls(**_fields(row, active_id))


class CheckpointManifest(Checkpoint):
    """A checkpoint with where it comes from and what was measured."""

    manifest: dict[str, Any]

    @classmethod
    def of(cls, row: CheckpointRow, active_id: str | None) -> "CheckpointManifest":
        """The row as a client sees it; ``active_id`` is what the rig serves with."""
        digests = {**row.manifest.get("digests", {}), "artifact": row.artifact_sha256}
        manifest = {**row.manifest, "digests": digests}
        return cls(**_fields(row, active_id), manifest=manifest)


class Rollback(BaseModel):
    """What a rig serves with after a rollback."""

    rig: str
    active_checkpoint: str | None
    rolled_back: str


def _fields(row: CheckpointRow, active_id: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "rig": row.rig_id,
        "adaptation": row.adaptation_id,
        "capture": row.capture_id,
        "method": row.method,
        "seed": row.seed,
        "active": row.id == active_id,
        "promoted": row.promoted,
        "reason": row.reason,
        "artifact_sha256": row.artifact_sha256,
        "size_bytes": row.size_bytes,
        "created_at": row.created_at,
    }

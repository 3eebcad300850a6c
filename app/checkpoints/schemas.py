"""What goes over the wire for checkpoints."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.tables import ActivationRow, CheckpointRow
from app.wire import Time, printable


class Origin(BaseModel):
    """Where an imported checkpoint comes from."""

    key: str = Field(description="fingerprint of the deployment's key that signed the bundle")
    exported_at: Time
    bundle_sha256: str


class Checkpoint(BaseModel):
    """A checkpoint, without its measurements; an imported one has no adaptation and no capture here."""

    id: str
    rig: str
    adaptation: str | None
    capture: str | None
    origin: Origin | None = Field(description="null for what was adapted here")
    method: str
    seed: int
    active: bool
    promoted: bool
    pinned: bool = Field(description="kept until it is unpinned")
    reason: str
    artifact_sha256: str
    size_bytes: int
    created_at: Time
    purged_at: Time | None = Field(description="since when its bytes are gone")

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


class Because(BaseModel):
    """Why a person changes what a rig serves with; for the history."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=1000), AfterValidator(printable)] = ""


class Rollback(BaseModel):
    """What a rig serves with after a rollback."""

    rig: str
    active_checkpoint: str | None
    rolled_back: str


class Activation(BaseModel):
    """One change of what a rig serves with."""

    checkpoint: str | None = Field(description="what it served with from then on; null is without fusion")
    action: Literal["promoted", "activated", "rolled_back", "withdrawn"]
    actor: str = Field(description="id of the key; system for the service itself")
    reason: str
    at: Time

    @classmethod
    def of(cls, row: ActivationRow) -> "Activation":
        """The row as a client sees it."""
        return cls.model_validate(
            {
                "checkpoint": row.checkpoint_id,
                "action": row.action,
                "actor": row.actor,
                "reason": row.reason,
                "at": row.created_at,
            }
        )


def _fields(row: CheckpointRow, active_id: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "rig": row.rig_id,
        "adaptation": row.adaptation_id,
        "capture": row.capture_id,
        "origin": row.origin,
        "method": row.method,
        "seed": row.seed,
        "active": row.id == active_id,
        "promoted": row.promoted,
        "pinned": row.pinned,
        "reason": row.reason,
        "artifact_sha256": row.artifact_sha256,
        "size_bytes": row.size_bytes,
        "created_at": row.created_at,
        "purged_at": row.purged_at,
    }

"""Checkpoints: look at, download, activate, keep, delete; and the history of what a rig served with."""

from collections.abc import Iterator
from pathlib import Path

from app.asking import segment
from app.checkpoints.schemas import Activation, Checkpoint, CheckpointManifest, Rollback
from app.client.calls import Calls, without_none
from app.retries import Repeat


class Checkpoints(Calls):
    """What adaptations made; one is active per rig."""

    def checkpoints(self, rig_id: str) -> Iterator[Checkpoint]:
        """The checkpoints of a rig, the newest first."""
        return self._list(Checkpoint, f"/v1/rigs/{segment(rig_id)}/checkpoints")

    def checkpoint(self, checkpoint_id: str) -> CheckpointManifest:
        """A checkpoint with its lineage and measurements."""
        return self._ask(CheckpointManifest, "GET", f"/v1/checkpoints/{segment(checkpoint_id)}")

    def download_checkpoint(self, checkpoint_id: str, target: Path) -> Path:
        """Write a checkpoint's safetensors file to ``target``."""
        return self._download(f"/v1/checkpoints/{segment(checkpoint_id)}/artifact", target)

    def activate(self, checkpoint_id: str, reason: str | None = None) -> Checkpoint:
        """Serve a checkpoint's rig with it; the ``reason`` is kept in the rig's history."""
        return self._act(checkpoint_id, "activate", reason)

    def pin(self, checkpoint_id: str) -> Checkpoint:
        """Keep a checkpoint whatever the retention policy says."""
        return self._act(checkpoint_id, "pin")

    def unpin(self, checkpoint_id: str) -> Checkpoint:
        """Leave a checkpoint to the retention policy."""
        return self._act(checkpoint_id, "unpin")

    def delete_checkpoint(self, checkpoint_id: str) -> Checkpoint:
        """Delete a checkpoint's bytes for good; refused while it is active or pinned."""
        return self._ask(Checkpoint, "DELETE", f"/v1/checkpoints/{segment(checkpoint_id)}")

    def roll_back(self, rig_id: str, reason: str | None = None) -> Rollback:
        """Serve a rig with what was active before."""
        body = without_none(reason=reason) or None
        return self._ask(Rollback, "POST", f"/v1/rigs/{segment(rig_id)}/rollback", json=body)

    def activations(self, rig_id: str) -> Iterator[Activation]:
        """What a rig served with, since when and why; the newest first."""
        return self._list(Activation, f"/v1/rigs/{segment(rig_id)}/activations")

    def _act(self, checkpoint_id: str, action: str, reason: str | None = None) -> Checkpoint:
        path, body = f"/v1/checkpoints/{segment(checkpoint_id)}/{action}", without_none(reason=reason) or None
        return self._ask(Checkpoint, "POST", path, json=body, repeat=Repeat.ALWAYS)  # twice is as good as once

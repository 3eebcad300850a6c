"""Bundles: a rig and a checkpoint in one signed file, from one deployment to another."""

from pathlib import Path

from app.asking import segment
from app.bundles.schemas import Imported, SigningKey
from app.client.calls import Calls, read, without_none
from app.retries import Repeat
from app.transport import UploadProgress


class Bundles(Calls):
    """Take a checkpoint with its rig out of a deployment, and into another."""

    def export_bundle(self, checkpoint_id: str, target: Path) -> Path:
        """Write a checkpoint with its rig, signed, to ``target``."""
        return self._download(f"/v1/checkpoints/{segment(checkpoint_id)}/bundle", target)

    def import_bundle(
        self, bundle: Path, *, rig: str | None = None, activate: bool = False, on_progress: UploadProgress | None = None
    ) -> Imported:
        """Take a bundle in, for ``rig`` or else one of the same calibration, registered where there is none."""
        params = {**without_none(rig=rig), "activate": str(activate).lower()}
        # Twice is as good as once: what is there already is answered with.
        answer = self._transport.upload("/v1/bundles", {"bundle": bundle}, params, on_progress, Repeat.ALWAYS)
        return read(Imported, answer.json())

    def signing_key(self) -> SigningKey:
        """The key that signs this deployment's bundles."""
        return self._ask(SigningKey, "GET", "/v1/signing-key")

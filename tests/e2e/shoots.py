"""A rig with a capture, put into a service through its client."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import studio

from app.client import RigFuseClient


@dataclass(frozen=True)
class Shoot:
    """A registered rig with an uploaded capture; ``rig`` is what the service answers."""

    rig: studio.Document
    capture: str
    folder: Path

    @property
    def rig_id(self) -> str:
        return str(self.rig["id"])


def shoot(client: RigFuseClient, folder: Path, cameras: int = 2, frames: int = 20, seed: int = 0) -> Shoot:
    """Register a rig and upload a capture of it."""
    rng = np.random.default_rng(seed)
    rig = client.register_rig(studio.ring_rig(rng, cameras)).model_dump(mode="json")
    footage = studio.film(rng, rig, frames)
    labels = footage.write_labels(folder / "labels.json")
    capture = client.upload_capture(rig["id"], labels, heatmaps=footage.write_heatmaps(folder / "heatmaps.npz"))
    return Shoot(rig, capture.id, folder)

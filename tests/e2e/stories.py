"""Rigs with histories, put into a service through its client, and the pages that tell of them."""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import studio

from app.client import ApiError, RigFuseClient

ANYWHERE = {"rigs": "/", "adaptations": "/adaptations", "new": "/new", "operations": "/operations"}
MARKUP = "<img src=x onerror=\"document.title='struck'\">"


@dataclass(frozen=True)
class Story:
    """A rig that was adapted and asked for poses."""

    rig: str
    capture: str
    adaptation: str
    checkpoint: str

    @property
    def pages(self) -> dict[str, str]:
        """The pages that tell of it, by a short name."""
        return {
            "rig": f"/rigs/{self.rig}",
            "adaptation": f"/adaptations/{self.adaptation}",
            "frames": f"/captures/{self.capture}/frames",
            "requests": f"/rigs/{self.rig}/requests",
            "more-labels": f"/rigs/{self.rig}/capture",
        }


def tell(
    client: RigFuseClient, folder: Path, word: str, *, cameras: int = 2, frames: int = 20, steps: int = 3
) -> Story:
    """Go through it all, with ``word`` wherever a person may choose one."""
    rng = np.random.default_rng(0)
    rig = client.register_rig(named(studio.ring_rig(rng, cameras), word)).model_dump(mode="json")
    with contextlib.suppress(ApiError):  # who is no administrator may not have frames kept
        client.update_rig(rig["id"], request_frames_kept=20)
    footage = worded(studio.film(rng, rig, frames), word)
    labels, heatmaps = footage.write_labels(folder / "labels.json"), footage.write_heatmaps(folder / "heatmaps.npz")
    capture = client.upload_capture(rig["id"], labels, heatmaps=heatmaps)
    job = client.wait(client.adapt(rig["id"], capture.id, options={"steps": steps}).id)
    assert job.checkpoint, job.error
    take = worded(studio.film(rng, rig, 3, first=500), word)
    client.poses(rig["id"], heatmaps=take.write_heatmaps(folder / "take.npz"))
    client.activate(job.checkpoint, reason=word)
    client.roll_back(rig["id"], reason=word)
    client.activate(job.checkpoint, reason=f"{word}, again")
    return Story(rig["id"], capture.id, job.id, job.checkpoint)


def named(rig: studio.Document, word: str) -> studio.Document:
    """The rig with this word wherever it may stand; ids of cameras are plain by contract."""
    return {**rig, "name": word, "notes": word, "tags": [word[:64]]}


def worded(footage: studio.Footage, word: str) -> studio.Footage:
    """The footage with this word in the names of its frames."""
    return replace(footage, frames=[f"{word} {name}" for name in footage.frames])

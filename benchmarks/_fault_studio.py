"""What a fault campaign sends: small rigs, their captures, and frames to ask poses of."""

import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.geometry import view_to_image
from models.worlds import World, make_world, random_rig

TAKES = 4
_LABELLED, _TAKE_FRAMES = 10, 1


@dataclass(frozen=True)
class Studio:
    """A seeded studio, and a job for it that takes a second or a few."""

    seed: int
    cameras: int

    @property
    def method(self) -> dict[str, Any]:
        """The method of its adaptations and their options."""
        kinds = ({"method": "epipolar"}, {"method": "metafuse", "options": {"steps": 5}}, {"method": "metafuse"})
        return kinds[self.seed % 3]

    @property
    def rig_document(self) -> dict[str, Any]:
        """The body of POST /v1/rigs."""
        return {"name": f"studio {self.seed}", **self._world.rig.to_dict()}

    @cached_property
    def capture(self) -> dict[str, tuple[str, bytes]]:
        """The files of POST /v1/rigs/{id}/captures."""
        heatmaps = self._npz(slice(0, _LABELLED))
        return {"labels": ("labels.json", json.dumps(self._labels()).encode()), "heatmaps": ("h.npz", heatmaps)}

    @cached_property
    def takes(self) -> list[dict[str, tuple[str, bytes]]]:
        """The files of POST /v1/rigs/{id}/poses, several of them."""
        starts = (_LABELLED + _TAKE_FRAMES * i for i in range(TAKES))
        return [{"heatmaps": ("h.npz", self._npz(slice(start, start + _TAKE_FRAMES)))} for start in starts]

    @cached_property
    def _world(self) -> World:
        rng = np.random.default_rng(self.seed)
        return make_world(rng, random_rig(rng, self.cameras), _LABELLED + TAKES * _TAKE_FRAMES)

    def _npz(self, which: slice) -> bytes:
        heatmaps: NDArray[np.float16] = self._world.heatmaps[which].astype(np.float16)
        names = np.array([f"{i:06d}" for i in range(len(heatmaps))])
        cameras = np.array([camera.id for camera in self._world.rig.cameras])
        buffer = io.BytesIO()
        np.savez(buffer, heatmaps=heatmaps, frames=names, cameras=cameras)
        return buffer.getvalue()

    def _labels(self) -> dict[str, Any]:
        rig, seen = self._world.rig, self._world.labelled()
        rows = {
            camera.id: np.dstack([
                np.nan_to_num(view_to_image(camera, rig.views[v], seen.joints_view[:_LABELLED, v])),
                seen.visibility[:_LABELLED, v],
            ])
            for v, camera in enumerate(rig.cameras)
        }  # fmt: skip
        return {
            "frames": [
                {"frame": f"{i:06d}", "cameras": {name: values[i].tolist() for name, values in rows.items()}}
                for i in range(_LABELLED)
            ]
        }


def studios(seed: int, count: int) -> list[Studio]:
    """Studios of two and of three cameras."""
    return [Studio(3 * seed + i, 2 + i % 2) for i in range(count)]

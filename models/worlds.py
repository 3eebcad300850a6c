"""Seeded synthetic worlds: a studio, motion, what hides joints from its cameras, and what a detector makes of it."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models import geometry, heatmap
from models.detector import Detector, detect
from models.labelled import LabelledFrames
from models.motion import random_motion
from models.motions import MotionLibrary
from models.occluders import occlude
from models.rig import Rig
from models.studios import disturb, look_at, panoptic_dome, published_rig, random_rig

__all__ = [
    "Detector", "World", "disturb", "look_at", "make_world", "panoptic_dome", "published_rig", "random_rig",
]  # fmt: skip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """A rig, the truth in it, and what the detector saw.

    ``joints_world`` [F, J, 3] in the rig's unit; ``joints_view`` [F, V, J, 2] true heatmap pixels, NaN behind a camera;
    ``hidden`` [F, V, J]; ``heatmaps`` [F, V, J, 64, 64].
    """

    rig: Rig
    joints_world: Array
    joints_view: Array
    hidden: NDArray[np.bool_]
    heatmaps: NDArray[np.float32]

    def labelled(self, rng: np.random.Generator | None = None, noise: float = 0.0) -> LabelledFrames:
        """The frames with labels inside the view, off by ``noise`` heatmap pixels (standard deviation)."""
        inside = np.all(np.abs(self.joints_view - (heatmap.HEATMAP_SIZE - 1) / 2) < heatmap.HEATMAP_SIZE / 2, axis=-1)
        joints = np.where(inside[..., None], self.joints_view, np.nan)
        if rng is not None and noise > 0:
            joints = joints + rng.normal(0, noise, joints.shape)
        visibility = np.where(inside, np.where(self.hidden, 1, 2), 0).astype(np.uint8)
        names = tuple(f"{i:06d}" for i in range(len(joints)))
        return LabelledFrames(names, self.heatmaps, joints, visibility)


def make_world(
    rng: np.random.Generator,
    rig: Rig,
    frames: int,
    detector: Detector | None = None,
    *,
    clips: int = 1,
    motion: MotionLibrary | None = None,
) -> World:
    """Simulate ``frames`` frames, in ``clips`` takes, seen by ``rig`` through ``detector``.

    The motion is drawn from a library of recordings, or procedural where none is given.
    """
    detector = detector or Detector()

    def take(length: int) -> Array:
        if motion is None:
            return random_motion(rng, length, rig.skeleton)
        return motion.sample(rng, length, rig.skeleton)

    cuts = np.unique(np.linspace(0, frames, clips + 1).astype(int)).tolist()
    takes = [slice(start, stop) for start, stop in pairwise(cuts)]
    metres = np.concatenate([take(s.stop - s.start) for s in takes])
    centres = np.stack([camera.centre for camera in rig.cameras]) * rig.metres_per_unit
    share = detector.hidden * (1 - detector.chance)
    hidden, other = occlude(rng, metres, centres, body=rig.skeleton, share=share, takes=takes, another=take)
    hidden |= rng.random(hidden.shape) < detector.hidden * detector.chance / max(1 - share, 1e-9)
    points, others = (_project(rig, joints / rig.metres_per_unit) for joints in (metres, other))
    heatmaps = detect(rng, rig, points, hidden, detector, others=others)
    return World(rig, metres / rig.metres_per_unit, points, hidden, heatmaps)


def _project(rig: Rig, joints: Array) -> Array:
    """World joints [F, J, 3] → heatmap pixels [F, V, J, 2]."""
    points = geometry.project(rig.projections(), joints.reshape(-1, 3))
    return points.reshape(*joints.shape[:2], -1, 2).swapaxes(1, 2)

"""A request's frames as one take: their joints in space, smoothed over time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.poses.schemas import Smoothing
from models.errors import InvalidOptions
from models.rig import Rig
from models.runtime import Poses
from models.smoothing import smooth


@dataclass(frozen=True)
class Take:
    """How the frames follow each other; raises InvalidOptions for smoothing without ``fps``, or ``fps`` for nothing."""

    smoothing: Smoothing
    fps: float | None

    def __post_init__(self) -> None:
        if self.smoothing is not Smoothing.NONE and self.fps is None:
            raise InvalidOptions(
                f"smoothing={self.smoothing} needs to know how fast the frames follow each other: give fps.",
                at="query.fps",
                code="fps_needed",
            )
        if self.smoothing is Smoothing.NONE and self.fps is not None:
            raise InvalidOptions(
                "fps only matters to smoothing, which is not asked for: add smoothing=savgol, or leave fps out.",
                at="query.fps",
                code="fps_unused",
            )

    def smoothed(self, rig: Rig, frames: Sequence[str], poses: Poses) -> Poses:
        """The poses with their joints in space smoothed; short gaps are filled, with a confidence of 0.

        Time runs in the order of the frames' ids, since a zip may hold its entries in any order.
        """
        if self.fps is None or self.smoothing is Smoothing.NONE:
            return poses
        order = np.array(sorted(range(len(frames)), key=lambda index: _natural(frames[index])), np.intp)
        points = np.empty_like(poses.pose3d)
        points[order] = smooth(
            poses.pose3d[order],
            self.fps,
            self.smoothing.value,
            covariance=poses.covariance[order],
            metres_per_unit=rig.metres_per_unit,
        )
        return replace(poses, pose3d=points)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that puts frame 10 behind frame 9: numbers by their value, words as they are."""
    parts = (part for part in re.split(r"([0-9]+)", name) if part)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

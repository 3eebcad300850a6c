"""What an engine finds in synchronised frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Told = Callable[[str], None]
"""Hears the name of a stage when it ends."""


def quiet(_stage: str) -> None:
    """Hears nothing."""


@dataclass(frozen=True)
class Poses:
    """Results for F frames, V views, J joints.

    ``heatmaps`` [F, V, J, 64, 64], or none where nobody keeps them; ``joints_view`` [F, V, J, 2] heatmap pixels;
    ``poses2d`` the same in raw image pixels, NaN where a view shows nothing of a joint that is not known in space;
    ``confidence2d`` [F, V, J]; ``pose3d`` [F, J, 3] in the rig's unit, NaN where not triangulated;
    ``confidence`` [F, J]; ``reprojection_px`` [F, J] mean over the views used, in raw image pixels; ``views_used``
    [F, J]; ``view`` [F, V, 3, 3] the ``K`` of the views (models.views) that the frame was seen through;
    ``covariance`` [F, J, 3, 3] of ``pose3d``, in the rig's unit squared (models.uncertainty).
    """

    heatmaps: NDArray[np.float32]
    joints_view: Array
    poses2d: Array
    confidence2d: Array
    pose3d: Array
    confidence: Array
    reprojection_px: Array
    views_used: NDArray[np.intp]
    view: Array
    covariance: Array

    @classmethod
    def joined(cls, parts: "Sequence[Poses]") -> "Poses":
        """The poses of several runs of frames as one."""
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__}
        )

    def split(self, frames: Sequence[int]) -> "list[Poses]":
        """The poses of runs of so many ``frames`` each, as they were joined."""
        ends = np.cumsum(frames)
        return [
            Poses(**{name: getattr(self, name)[end - count : end] for name in self.__dataclass_fields__})
            for end, count in zip(ends, frames, strict=True)
        ]

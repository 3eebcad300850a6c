"""What benchmarks.person_crops measures of poses, whatever they were made from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.demo.evaluate import HALF_HEAD_MM, Truth, align, distances_mm
from models.runtime import Poses

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Poses of frames, what they are judged by, and the processor time that a frame took."""

    truth: Truth
    poses: Poses
    milliseconds: float
    looks: float

    def figures(self) -> dict[str, Any]:
        """Shares in percent, distances in millimetres; ``…_aligned`` after the one rigid motion that fits best.

        A joint without a place in space is wrong in ``within_half_head_3d`` and left out of the means, beside which
        ``triangulated`` tells how many there were.
        """
        truth, scored = self.truth, self.truth.scored3d
        error2d = np.linalg.norm(self.poses.poses2d - truth.joints_image, axis=-1)
        right = np.nan_to_num(error2d, nan=np.inf) < truth.radius_px
        raw = distances_mm(self.poses.pose3d, truth.joints_world)
        aligned = distances_mm(align(self.poses.pose3d, truth.joints_world, scored), truth.joints_world)
        known = scored & np.isfinite(raw)
        hidden = truth.scored & truth.hidden
        return {
            "frames": len(truth.frames),
            "limbs_in_views": int(truth.scored.sum()),
            "jdr": _percent(right[truth.scored]),
            "jdr_hidden": _percent(right[hidden]) if hidden.any() else None,
            "mpjpe_mm": round(float(raw[known].mean()), 2),
            "mpjpe_aligned_mm": round(float(aligned[known].mean()), 2),
            "median_mm": round(float(np.median(raw[known])), 2),
            "median_aligned_mm": round(float(np.median(aligned[known])), 2),
            "triangulated": _percent(known[scored]),
            "within_half_head_3d": _percent(np.nan_to_num(aligned, nan=np.inf)[scored] <= HALF_HEAD_MM),
            "cpu_ms_a_frame": round(self.milliseconds, 1),
            "looks_a_frame": round(self.looks, 2),
        }


def _percent(hits: NDArray[np.bool_]) -> float:
    return round(100 * float(hits.mean()), 2)

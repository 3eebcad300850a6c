"""The two metrics, with their definitions.

JDR, the joint detection rate: the share of labelled joints whose estimate lies nearer to the label than half the head's
size. The head's size is the length of the labelled head, or where the joint set or the frame has none, a tenth of the
side of the box around the person's labelled joints (the view's median box where fewer than half of them are labelled);
both in the pixels of the view.

MPJPE: the mean over joints of the distance between estimated and true joint in millimetres, in the world frame, with no
alignment. Joints that are not labelled, or that were not estimated, are left out and must be counted beside it.
"""

import numpy as np
from numpy.typing import NDArray

from models.skeletons import Skeleton

Array = NDArray[np.float64]
_BOX_SHARE = 0.1


def half_head_px(skeleton: Skeleton, joints_view: Array) -> Array:
    """Half the head's size [F, V] in heatmap pixels, from labels [F, V, J, 2]; NaN where a view has no labels."""
    labelled = np.isfinite(joints_view.sum(-1, keepdims=True))
    low = np.where(labelled, joints_view, np.inf).min(2)
    high = np.where(labelled, joints_view, -np.inf).max(2)
    count = labelled.sum((2, 3))
    side = np.where(count > 0, (high - low).max(-1), np.nan)
    side = _filled(side, count < joints_view.shape[2] / 2)
    size = _BOX_SHARE * side
    if skeleton.head is not None:
        base, top = skeleton.head
        head = np.linalg.norm(joints_view[:, :, top] - joints_view[:, :, base], axis=-1)
        size = np.where(np.isfinite(head), head, size)
    return size / 2


def _filled(side: Array, sparse: NDArray[np.bool_]) -> Array:
    """Box sides [F, V] where those of ``sparse`` frames, whose few labels span no person, are their view's median."""
    whole = np.where(sparse, np.nan, side)
    known = np.isfinite(whole).any(0)
    median = np.full(side.shape[1], np.nan)
    median[known] = np.nanmedian(whole[:, known], axis=0)
    return np.where(sparse & np.isfinite(median) & np.isfinite(side), median, side)


def detected(estimate: Array, truth: Array, threshold: Array) -> NDArray[np.bool_]:
    """Whether each estimate [..., 2] lies within ``threshold`` [...] of the truth; False where either is NaN."""
    return np.asarray(np.linalg.norm(estimate - truth, axis=-1) < threshold)


def jdr(estimate: Array, truth: Array, threshold: Array, where: NDArray[np.bool_] | None = None) -> float:
    """Joint detection rate, 0 to 1, over the labelled joints (and ``where``); NaN when there is none."""
    counted = np.isfinite(truth).all(-1)
    if where is not None:
        counted &= where
    return float(detected(estimate, truth, threshold)[counted].mean()) if counted.any() else float("nan")


def mpjpe(estimate: Array, truth: Array, metres_per_unit: float = 1.0) -> tuple[float, int, int]:
    """(MPJPE in mm, joints compared, labelled joints without an estimate) of joints [..., 3] in the rig's unit."""
    labelled = np.isfinite(truth).all(-1)
    both = labelled & np.isfinite(estimate).all(-1)
    error = np.linalg.norm(estimate - truth, axis=-1)[both] * metres_per_unit * 1000
    return (float(error.mean()) if both.any() else float("nan")), int(both.sum()), int((labelled & ~both).sum())

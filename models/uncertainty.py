"""How far off a joint in space may be: from the spread of each view's heatmap and the geometry of the cameras.

A view measures a joint to within a share of its peak's width, and a faint peak worse. What that does to the weighted
estimate in space is the sandwich A⁻¹·B·A⁻¹ of M-estimation (Huber, Robust Statistics, 1981, section 6.3).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from models.consensus import Cameras, reprojection
from models.heatmap import decode_near
from models.labelled import LABEL_SIGMA_PX, LabelledFrames
from models.triangulation import INLIER_PX, Triangulation

Array = NDArray[np.float64]

_REACH = 5  # of the window about a peak, in heatmap pixels
_SHARE = 0.15  # standard deviation of a measurement by the width of its peak
_FLOOR_PX = 0.1  # what cameras and sub-pixel decoding are off by in any case
_FAINTEST = 0.05
_LEAST_HEIGHT = 1e-6
_MIN_LABELS = 50
_NEAR_PX = 3.5  # a peak farther from the label is of something else
_DOUBT = (0.1, 20.0)


def spread(heatmaps: NDArray[np.floating], points: Array) -> Array:
    """Second moments [..., 2, 2], in heatmap pixels², of heatmaps [..., H, W] about their peaks at points [..., 2].

    The squared heatmap weighs, so that the floor between peaks does not count; a Gaussian's moments are then half its
    variance, and are doubled. Isotropic with the window's width where there is nothing.
    """
    *lead, height, width = heatmaps.shape
    flat, at = heatmaps.reshape(-1, height, width), points.reshape(-1, 2)
    offset = np.arange(-_REACH, _REACH + 1)
    columns, lines = (np.rint(at[:, i]).astype(np.intp)[:, None] + offset for i in (0, 1))
    inside = ((lines >= 0) & (lines < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    rows, clipped = np.arange(len(flat))[:, None, None], np.clip(columns, 0, width - 1)
    patch = flat[rows, np.clip(lines, 0, height - 1)[:, :, None], clipped[:, None, :]]
    weight = np.square(np.where(inside, patch, 0).astype(np.float64))
    x, y = columns - at[:, :1], lines - at[:, 1:]
    total = weight.sum((1, 2))
    xx = np.einsum("nij,nj->n", weight, x * x)
    yy = np.einsum("nij,ni->n", weight, y * y)
    xy = np.einsum("nij,ni,nj->n", weight, y, x)
    moments = 2 * np.stack([xx, xy, xy, yy], axis=-1).reshape(-1, 2, 2)
    known = (total > _LEAST_HEIGHT)[:, None, None]
    moments = np.where(known, moments / np.maximum(total, _LEAST_HEIGHT)[:, None, None], np.eye(2) * _REACH**2)
    return moments.reshape(*lead, 2, 2)


def measurement_covariance(moments: Array, heights: Array) -> Array:
    """Covariance [..., 2, 2], in heatmap pixels², of a peak's place, from its ``spread`` [..., 2, 2] and height [...].

    The share of a peak's width that it is off by was fitted once, to visible joints of the simulated detector as it is
    by default; ``doubt_from_labels`` says by which factor a real one differs.
    """
    faint = np.clip(heights, _FAINTEST, 1)[..., None, None]
    return _SHARE**2 * moments / faint + _FLOOR_PX**2 * np.eye(2)


def doubt_from_labels(labelled: LabelledFrames) -> float:
    """By which factor this detector's errors at visible joints differ from ``measurement_covariance``, in variance.

    With it the squared Mahalanobis distances of labels from the peaks beside them have the median of χ² with two
    degrees of freedom, the labels being off by their own. One where too few joints are labelled.
    """
    seen = (labelled.visibility == 2) & np.isfinite(labelled.joints_view).all(-1)
    if seen.sum() < _MIN_LABELS:
        return 1.0
    heatmaps, joints = labelled.heatmaps[seen], labelled.joints_view[seen]
    peaks, heights = decode_near(heatmaps, joints, _NEAR_PX)
    covariance = measurement_covariance(spread(heatmaps, peaks), heights)
    off = peaks - joints

    def excess(doubt: float) -> float:
        whole = doubt * covariance + LABEL_SIGMA_PX**2 * np.eye(2)
        return float(np.median(np.einsum("ni,nij,nj->n", off, np.linalg.inv(whole), off)) - 2 * np.log(2))

    low, high = _DOUBT
    if excess(low) <= 0 or excess(high) >= 0:
        return low if excess(low) <= 0 else high
    return float(brentq(excess, low, high, xtol=0.01))


def point_covariance(
    P: Array, found: Triangulation, trust: Array, measured: Array, *, inlier_px: float = INLIER_PX
) -> Array:
    """Covariance [N, 3, 3], in world units², of triangulated points; NaN where there is none.

    P [V, 3, 4] maps the world to heatmap pixels; trust [N, V] are the weights that ``found`` was triangulated with,
    within ``inlier_px`` (infinite for the linear method), and measured [N, V, 2, 2] the covariance of every detection
    in heatmap pixels².
    """
    cameras = Cameras.normalised(np.asarray(P, np.float64))
    points = (found.points - cameras.origin) / cameras.scale
    J = reprojection(cameras.P, np.nan_to_num(points), np.zeros((1, len(cameras.P), 2)))[0]
    weights = _weights(found, trust, inlier_px)
    A = np.einsum("nv,nvki,nvkj->nij", weights, J, J)
    B = np.einsum("nv,nvki,nvkl,nvlj->nij", np.square(weights), J, measured, J)
    solvable = (found.inliers.sum(1) >= 2) & np.isfinite(points).all(1)
    solvable &= np.linalg.det(A) > 1e-12 * np.einsum("nii->n", A) ** 3
    inverse = np.linalg.inv(np.where(solvable[:, None, None], A, np.eye(3)))
    covariance = cameras.scale**2 * inverse @ B @ inverse
    return np.where(solvable[:, None, None], (covariance + covariance.transpose(0, 2, 1)) / 2, np.nan)


def _weights(found: Triangulation, trust: Array, inlier_px: float) -> Array:
    """The weights [N, V] of the views in the last step of the robust estimate: confidence, and Tukey's."""
    share = np.square(np.where(found.inliers, found.residual_px, 0) / inlier_px)
    weights = np.where(found.inliers, trust * np.square(np.maximum(1 - share, 0)), 0)
    return np.asarray(weights / np.maximum(weights.max(1, keepdims=True), _LEAST_HEIGHT))

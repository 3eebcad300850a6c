"""From joints in several views to one point in space: robust consensus, or the linear method.

Robust: camera pairs propose, views vote, and Levenberg–Marquardt minimises the Tukey loss of the reprojection error
(models.consensus). A point that chance could explain is NaN, never a guess. Linear: Hartley & Zisserman, Multiple View
Geometry, 2nd ed., section 12.2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from models.consensus import Cameras, consensus, refine, reprojection, squared_residuals
from models.errors import InvalidOptions
from models.heatmap import HEATMAP_SIZE

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

INLIER_PX = 2.5
_MIN_SUPPORT = 0.1  # confidence that the agreeing views must bring together
_RIVAL = 0.8  # a second consensus, of the other views, this strong makes the joint ambiguous
_MAX_DEPTH_ERROR = 0.25  # largest standard deviation, as a share of the distance to the nearest agreeing camera
_FALSE_ALARMS = (
    0.3  # chance agreements allowed; of four views, two must then agree within 0.8 pixels against two others
)


@dataclass(frozen=True)
class Triangulation:
    """Points [N, 3] in world units, NaN where the views do not settle one, and how far to trust them.

    ``confidence`` [N] is 0 where there is no point; ``residual_px`` [N, V] is NaN where there is no detection or no
    point, infinite behind a camera; ``inliers`` [N, V] are the views used; ``covariance`` [N, 3, 3] is in world units².
    """

    points: Array
    confidence: Array
    residual_px: Array
    inliers: Mask
    covariance: Array


def triangulate(
    P: Array,
    points: Array,
    confidence: Array | None = None,
    *,
    method: str = "robust",
    inlier_px: float = INLIER_PX,
    sigma_px: float | Array = 0.5,
) -> Triangulation:
    """Triangulate detections.

    P [V, 3, 4] maps the world to heatmap pixels; points [N, V, 2] are in heatmap pixels, NaN where there is no
    detection; confidence [N, V] ≥ 0 (heights of heatmap peaks) weighs the views of a joint against each other.
    ``sigma_px`` (one, or [V]) is the standard deviation of the most confident detection; variance grows as confidence
    falls. ``robust`` uses the views within ``inlier_px`` of the best consensus, ``dlt`` all of them.
    """
    cameras = Cameras.normalised(np.asarray(P, np.float64))
    pixels, trust = _clean(points, confidence)
    weights = trust / np.maximum(trust.max(1, keepdims=True, initial=0), 1e-12)
    sigma = np.broadcast_to(np.asarray(sigma_px, np.float64), len(cameras.P))
    if method == "robust":
        found, used = _robust(cameras, pixels, weights, inlier_px, float(sigma.mean()))
        used &= ((trust * used).sum(1) >= _MIN_SUPPORT)[:, None]
    elif method == "dlt":
        found, used = _linear(cameras, pixels, weights)
    else:
        raise InvalidOptions(f"There is no triangulation {method!r}; use 'robust' or 'dlt'.", at="triangulation")
    return stated(cameras, found, used, pixels, trust, sigma_px=sigma)


def stated(
    cameras: Cameras, found: Array, used: Mask, pixels: Array, trust: Array, *, sigma_px: Array
) -> Triangulation:
    """Points ``found`` [N, 3] in the cameras' own world with all that is told about them, those not settled NaN.

    ``used`` [N, V] are the views that agree, pixels [N, V, 2] the detections and ``trust`` [N, V] their confidence;
    ``sigma_px`` [V] is the standard deviation of a sure one.
    """
    weights = trust / np.maximum(trust.max(1, keepdims=True, initial=0), 1e-12)
    covariance = _covariance(cameras.P, found, used * weights / np.square(sigma_px))
    settled = (used.sum(1) >= 2) & _determined(cameras.P, found, used, covariance)
    used = used & settled[:, None]
    distance = np.sqrt(squared_residuals(cameras.P, found, pixels))
    return Triangulation(
        points=np.where(settled[:, None], cameras.to_world(found), np.nan),
        confidence=_confidence(trust, used),
        residual_px=np.where((trust > 0) & settled[:, None], distance, np.nan),
        inliers=used,
        covariance=np.where(settled[:, None, None], covariance * cameras.scale**2, np.nan),
    )


def _clean(points: Array, confidence: Array | None) -> tuple[Array, Array]:
    """Finite pixels [N, V, 2] and confidence [N, V] that is zero where there is no detection."""
    points = np.asarray(points, np.float64)
    trust = np.ones(points.shape[:2]) if confidence is None else np.asarray(confidence, np.float64)
    seen: Mask = np.isfinite(points.sum(axis=2)) & (trust > 0)
    return np.where(seen[..., None], points, 0), np.where(seen, trust, 0)


def _robust(cameras: Cameras, pixels: Array, weights: Array, inlier_px: float, sigma_px: float) -> tuple[Array, Mask]:
    """Points [N, 3] and the views that agree on them [N, V], none where the agreement is ambiguous or may be chance."""
    start, _, rival = consensus(cameras, pixels, weights, inlier_px)
    found = refine(cameras.P, start, pixels, weights, inlier_px)
    squared = squared_residuals(cameras.P, found, pixels)
    used = (weights > 0) & (squared < inlier_px**2)
    support = (weights * used * (1 - np.where(used, squared, 0) / inlier_px**2)).sum(1)
    sound = (rival <= _RIVAL * support) & (_false_alarms(weights, used, squared, sigma_px) <= _FALSE_ALARMS)
    return found, used & sound[:, None]


def _linear(cameras: Cameras, pixels: Array, weights: Array) -> tuple[Array, Mask]:
    """The direct linear transform, weighted by confidence: points [N, 3], NaN at infinity, and the views used [N, V].

    Pixels are first taken to normalised image coordinates, and the world to the rig's own (Hartley's normalisation),
    so that the answer does not depend on anybody's units.
    """
    M = cameras.P[:, :, :3]
    centre = np.einsum("vij,vj->vi", M, M[:, 2])[:, :2]  # K·(0, 0, 1), as the third row of M is the optical axis
    P = cameras.P.copy()
    P[:, :2] = (P[:, :2] - centre[..., None] * P[:, None, 2]) / cameras.focal[:, None, None]
    normalised = (pixels - centre) / cameras.focal[:, None]
    rows = normalised[..., None] * P[:, None, 2] - P[:, :2]
    rows = rows * np.sqrt(weights)[..., None, None]
    solution = np.linalg.svd(rows.reshape(len(pixels), 2 * len(P), 4), full_matrices=True)[2][:, 3]
    finite = (np.abs(solution[:, 3]) > 1e-9) & ((weights > 0).sum(1) >= 2)
    scale = np.where(finite, solution[:, 3], np.nan)
    found = solution[:, :3] / scale[:, None]
    in_front = ((found @ cameras.P[:, 2, :3].T + cameras.P[:, 2, 3] > 0) | (weights == 0)).all(1)
    return found, (weights > 0) & (finite & in_front)[:, None]


def _false_alarms(weights: Array, used: Mask, squared: Array, sigma_px: float) -> Array:
    """How many agreements [N] as good as this one to expect among detections scattered over the view by chance.

    The a-contrario argument (Moisan & Stival, IJCV 2004): of n detections choose the k that agree and the pair of them
    that proposes the point; that pair meets by chance within 4r/side, each other view hits the point within πr²/side².
    n counts detections in units of the agreeing ones' mean confidence, so faint rivals hardly count and strong ones do.
    """
    k = used.sum(1).astype(np.float64)
    agreeing = (weights * used).sum(1)
    n = np.maximum(weights.sum(1) * k / np.maximum(agreeing, 1e-12), k)
    radius = np.sqrt(np.maximum(np.where(used, squared, 0).max(1, initial=0), sigma_px**2))
    log_pair = np.minimum(np.log(4 * radius / HEATMAP_SIZE), 0)
    log_view = np.minimum(np.log(np.pi * np.square(radius / HEATMAP_SIZE)), 0)
    choices = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + np.log(np.maximum(k * (k - 1) / 2, 1))
    return np.exp(np.minimum(choices + log_pair + np.maximum(k - 2, 0) * log_view, 50.0))


def _covariance(P: Array, points: Array, information: Array) -> Array:
    """Inverse of the normal matrix Σ JᵀJ · information [N, V] → [N, 3, 3]; infinite where it is singular."""
    J = reprojection(P, points, np.zeros((1, len(P), 2)))[0] * np.sqrt(information)[..., None, None]
    rows = np.nan_to_num(J.reshape(len(points), 2 * len(P), 3))
    normal = rows.transpose(0, 2, 1) @ rows
    size = np.einsum("nii->n", normal)
    solvable = np.linalg.det(normal) > 1e-12 * size**3
    inverse = np.linalg.inv(np.where(solvable[:, None, None], normal, np.eye(3)))
    return np.where(solvable[:, None, None], inverse, np.inf)


def _determined(P: Array, points: Array, used: Mask, covariance: Array) -> Mask:
    """Whether points [N, 3] are known better than a share of their distance: rays nearly parallel settle nothing."""
    depth = points @ P[:, 2, :3].T + P[:, 2, 3]
    nearest = np.where(used, depth, np.inf).min(1, initial=np.inf)
    spread = np.sqrt(np.einsum("nii->n", covariance))
    return (nearest > 0) & (spread <= _MAX_DEPTH_ERROR * nearest)


def _confidence(trust: Array, used: Mask) -> Array:
    """Mean confidence of the views used, times their share of all confidence, times how redundant they are [N].

    k views have 2k − 3 measurements to spare; each halves the doubt: a half for two views, 7/8 for three.
    """
    k = used.sum(1)
    agreeing = (trust * used).sum(1)
    mean, share = agreeing / np.maximum(k, 1), agreeing / np.maximum(trust.sum(1), 1e-12)
    return np.where(k >= 2, mean * share * (1 - 0.5 ** np.maximum(2 * k - 3, 0)), 0.0)

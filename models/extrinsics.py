"""Cameras from labels alone: where every camera of a rig stands, without any of the extrinsics it was sent with.

Essential matrices of pairs (five points: Nister, PAMI 2004; robustly: Barath et al., MAGSAC++, CVPR 2020) start a
reconstruction at the best-conditioned pair; further cameras join by resectioning (SQPnP: Terzakis & Lourakis, ECCV
2020) in the order of their support; bundle adjustment of everything follows each of them. What labels cannot say, they
are told: the body gives the scale and which way is up.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.bundle import repair_extrinsics
from models.bundle_equations import Priors
from models.errors import InsufficientLabels
from models.labelled import LABEL_SIGMA_PX, LabelledFrames
from models.posture import ADULT_HEIGHT_M, gauge_of
from models.rig import Rig

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_INLIER_SIGMAS = 4.0
_MIN_SHARED = 30  # joints labelled in both views of a pair, or in a camera and in space, that its pose is built on
_MIN_INLIERS = 0.6  # share of them that must agree
_STARTS = 3  # pairs to start from, until one's cameras fit the labels well
_GROWTH = 1.5  # by which the cameras grow in number between two bundle adjustments
_MIN_SINE = np.sin(np.deg2rad(3.0))  # of the median angle between the rays of a pair
_FREE = Priors(rotation=0.5, centre=0.5)  # holds the gauge, and nothing else
_FLAT = 0.015  # of the scene's extent; a person standing still is thicker
_LINE = 0.05
_TRUNCATED = 8.0  # label sigmas; a label farther off counts as that far
_GOOD_MISFIT = 5.0  # 2 of honest noise, and gross errors
_MAX_MISFIT = 16.0  # mean square of that, with two degrees of freedom: labels four times worse than an annotator's


def extrinsics_from_labels(
    rig: Rig, labelled: LabelledFrames, *, body_height_m: float = ADULT_HEIGHT_M, first_distance: float = 0.0
) -> Rig:
    """The rig with R and t of all cameras found from the labels; those it was sent with are not used.

    The world it is then in has its origin between the feet, ``rig.up`` (or z) up, the first camera straight ahead on a
    level axis, and the rig's unit. Scale comes from ``first_distance`` between the first two cameras, in that unit,
    where it is given; else from the proportions of a body of ``body_height_m`` metres. The
    views stay as they are. Raises InsufficientLabels where the labels do not settle the cameras.
    """
    rays = np.stack([view.invert(labelled.joints_view[:, v]) for v, view in enumerate(rig.views)], axis=2)
    frames, joints, views = rays.shape[:3]
    sigma = np.array([LABEL_SIGMA_PX / view.scale for view in rig.views])
    found = _reconstruct(rays.reshape(-1, views, 2), sigma, [camera.id for camera in rig.cameras])
    gauge = gauge_of(found.points.reshape(frames, joints, 3), -np.einsum("vji,vj->vi", found.R, found.t), rig,
                     body_height_m=body_height_m, first_distance=first_distance)  # fmt: skip
    return rig.with_poses(*gauge.applied(found.R, found.t))


@dataclass(frozen=True)
class _Scene:
    """Cameras R [V, 3, 3], t [V, 3] and points [N, 3] (NaN where not placed) in a world of their own.

    ``misfit`` is the mean truncated squared residual of all labels, in label sigmas; ``inliers`` [N, V].
    """

    R: Array
    t: Array
    points: Array
    inliers: Mask
    misfit: float


@dataclass(frozen=True)
class _Pair:
    """The pose of camera b seen from camera a, up to the length of t, and how good a start the two are."""

    a: int
    b: int
    R: Array
    t: Array
    merit: float


def _reconstruct(rays: Array, sigma: Array, names: list[str]) -> _Scene:
    """All cameras and points from rays [N, V, 2]."""
    pairs = sorted(_pairs(rays, sigma), key=lambda pair: -pair.merit)
    if not pairs:
        raise InsufficientLabels(
            f"No two cameras share {_MIN_SHARED} labelled joints that agree on how the cameras stand to each other "
            "and are seen from different directions: label more joints, in more places.",
            at="labels",
        )
    scenes, fault = [], None
    for pair in pairs[:_STARTS]:
        try:
            scenes.append(_grown(rays, sigma, pair, names))
        except InsufficientLabels as error:
            fault = fault or error
        if scenes and scenes[-1].misfit < _GOOD_MISFIT:
            break
    if fault is not None and not scenes:
        raise fault
    best = min(scenes, key=lambda scene: scene.misfit)
    _check(best)
    return best


def _check(scene: _Scene) -> None:
    """Raise InsufficientLabels where the labels fit no rig, or lie so flat that another scene fits them as well."""
    if scene.misfit > _MAX_MISFIT:
        raise InsufficientLabels(
            "No cameras fit the labels: a typical label is "
            f"{LABEL_SIGMA_PX * np.sqrt(scene.misfit):.1f} heatmap pixels off. Are K and the distortion right, and are "
            "the frames of one moment?",
            at="labels",
        )
    points = scene.points[scene.inliers.sum(1) >= 2]
    extent = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 0))
    if extent[0] < _FLAT * extent[2] or extent[1] < _LINE * extent[2]:
        raise InsufficientLabels(
            "The labelled joints lie nearly in a plane, from which cameras cannot be told: "
            "label frames in which the person stands elsewhere and moves.",
            at="labels",
        )


def _pairs(rays: Array, sigma: Array) -> list[_Pair]:
    """Relative poses of all pairs of cameras whose labels settle one."""
    labelled = np.isfinite(rays.sum(2))
    views = rays.shape[1]
    candidates = [(a, b) for a in range(views) for b in range(a + 1, views)]
    shared = [(a, b, labelled[:, a] & labelled[:, b]) for a, b in candidates]
    found = (
        _relative(rays[both][:, [a, b]], sigma[[a, b]], a, b) for a, b, both in shared if both.sum() >= _MIN_SHARED
    )
    return [pair for pair in found if pair is not None]


def _relative(rays: Array, sigma: Array, a: int, b: int) -> _Pair | None:
    """The pose of camera b with respect to a from rays [N, 2, 2] of both; None where they settle none."""
    first, second = (np.ascontiguousarray(rays[:, i]) for i in (0, 1))
    E, agreed = cv2.findEssentialMat(
        first, second, np.eye(3), method=cv2.USAC_MAGSAC, prob=0.9999, threshold=_INLIER_SIGMAS * float(sigma.mean())
    )
    if E is None or E.shape != (3, 3):
        return None
    _, turn, shift, in_front = cv2.recoverPose(E, first, second, np.eye(3), mask=agreed)
    R, t = np.asarray(turn, np.float64), np.asarray(shift, np.float64).ravel()
    kept = in_front.ravel() > 0
    if kept.sum() < max(_MIN_SHARED, _MIN_INLIERS * len(rays)):
        return None
    sine = _median_sine(first[kept], second[kept], R)
    return _Pair(a, b, R, t, float(kept.sum() * sine)) if sine > _MIN_SINE else None


def _median_sine(first: Array, second: Array, R: Array) -> float:
    """The median sine of the angle between the rays of two cameras: at zero they place nothing in space."""
    one, two = (np.concatenate([rays, np.ones_like(rays[:, :1])], axis=1) for rays in (first, second))
    one, two = one @ R.T / np.linalg.norm(one, axis=1, keepdims=True), two / np.linalg.norm(two, axis=1, keepdims=True)
    return float(np.median(np.linalg.norm(np.cross(one, two), axis=1)))


def _grown(rays: Array, sigma: Array, pair: _Pair, names: list[str]) -> _Scene:
    """All cameras from a pair to start with: those that see most of what is placed join next."""
    views = rays.shape[1]
    R, t = np.tile(np.eye(3), (views, 1, 1)), np.zeros((views, 3))
    R[pair.b], t[pair.b] = pair.R, pair.t
    placed = [pair.a, pair.b]
    scene = _adjusted(R, t, rays, sigma, placed)
    while len(placed) < views:
        known = scene.inliers.sum(1) >= 2
        support = (np.isfinite(rays.sum(2)) & known[:, None]).sum(0)
        support[placed] = -1
        joining = np.argsort(-support, kind="stable")[: max(1, int((_GROWTH - 1) * len(placed)))]
        R, t = scene.R.copy(), scene.t.copy()
        for camera in joining[: views - len(placed)].tolist():
            R[camera], t[camera] = _resected(scene.points[known], rays[known, camera], sigma[camera], names[camera])
            placed.append(camera)
        scene = _adjusted(R, t, rays, sigma, placed)
    return scene


def _adjusted(R: Array, t: Array, rays: Array, sigma: Array, placed: list[int]) -> _Scene:
    """Bundle adjustment of the cameras ``placed``; the others stay."""
    found = repair_extrinsics(R[placed], t[placed], rays[:, placed], sigma[placed], _FREE)
    R, t, inliers = R.copy(), t.copy(), np.zeros(rays.shape[:2], bool)
    R[placed], t[placed], inliers[:, placed] = found.R, found.t, found.inliers
    seen = np.isfinite(rays[:, placed].sum(2))
    y = np.einsum("vij,nj->nvi", found.R, found.points) + found.t
    off = (y[..., :2] / np.where(y[..., 2:] > 0, y[..., 2:], np.nan) - rays[:, placed]) / sigma[placed][:, None]
    squared = np.nan_to_num(np.square(off).sum(2), nan=np.inf)
    misfit = float(np.minimum(squared, _TRUNCATED**2)[seen & (seen.sum(1) >= 2)[:, None]].mean())
    return _Scene(R, t, found.points, inliers, misfit)


def _resected(points: Array, rays: Array, sigma: float, name: str) -> tuple[Array, Array]:
    """R and t of a camera from points [N, 3] and where it sees them [N, 2]; raises InsufficientLabels."""
    seen = np.isfinite(rays.sum(1))
    solved, turn, t, inliers = False, None, None, None
    if seen.sum() >= _MIN_SHARED:
        solved, turn, t, inliers = cv2.solvePnPRansac(
            points[seen], rays[seen], np.eye(3), None, iterationsCount=300, confidence=0.9999,
            reprojectionError=2 * _INLIER_SIGMAS * float(sigma), flags=cv2.SOLVEPNP_SQPNP,
        )  # fmt: skip
    agreeing = 0 if not solved or inliers is None else len(inliers)
    if turn is None or t is None or agreeing < max(_MIN_SHARED, _MIN_INLIERS * seen.sum()):
        raise InsufficientLabels(
            f"The labels do not say where camera {name!r} stands: it shares {int(seen.sum())} labelled joints with the "
            f"other cameras, of which {agreeing} agree; {_MIN_SHARED} are needed.",
            at="labels",
        )
    return np.asarray(cv2.Rodrigues(turn)[0], np.float64), np.asarray(t, np.float64).ravel()

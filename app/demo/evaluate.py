"""Scores of predicted poses against a truth, each figure defined beside its number.

All of them are over the joints that ``Truth.scored`` names (limbs, in the real clip). JDR is the share of joints that
lie nearer to the truth than half a head; 3D figures are in millimetres.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.geometry import distort
from models.rig import Rig
from models.skeletons import Skeleton

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

HALF_HEAD_MM = 85.0
_INLIER_MM = 30.0
_ALIGNMENT_ROUNDS = 30


@dataclass(frozen=True)
class Truth:
    """What predictions of F frames are judged by.

    ``joints_image`` [F, V, J, 2] raw image pixels; ``joints_world`` [F, J, 3] metres; ``scored`` and ``hidden``
    [F, V, J]; ``radius_px`` [F, V, J], half a head in raw image pixels at the joint's depth.
    """

    frames: tuple[str, ...]
    joints_image: Array
    joints_world: Array
    scored: Mask
    hidden: Mask
    radius_px: Array
    skeleton: Skeleton

    @property
    def scored3d(self) -> Mask:
        """Joints [F, J] that are scored in at least one view."""
        return np.asarray(self.scored.any(1))


@dataclass(frozen=True)
class Prediction:
    """An answer of the service: poses2d [F, V, J, 2], confidence2d [F, V, J], pose3d [F, J, 3] in metres, NaN for null.

    ``reprojection_px`` [F, J] is the service's own: how far its 3D joint lies from the 2D joints that it used.
    ``reprojected`` [F, V, J, 2] are the 3D joints in raw image pixels, seen by the cameras that they were made with.
    """

    poses2d: Array
    confidence2d: Array
    pose3d: Array
    reprojection_px: Array
    reprojected: Array

    @classmethod
    def from_document(cls, document: dict[str, Any], rig: Rig) -> "Prediction":
        """Read the JSON of a pose request; ``rig`` has the cameras that the answer was triangulated with."""
        frames = document["frames"]
        joints = len(document["joints"])
        poses2d = np.array([[_rows(f["poses2d"].get(c.id), joints, 3) for c in rig.cameras] for f in frames])
        pose3d = np.array([_rows(f["pose3d"], joints, 3) for f in frames])
        return cls(
            poses2d=poses2d[..., :2],
            confidence2d=np.nan_to_num(poses2d[..., 2]),
            pose3d=pose3d * rig.metres_per_unit,
            reprojection_px=np.array([[np.nan if e is None else e for e in f["reprojection_px"]] for f in frames]),
            reprojected=reproject(rig, pose3d),
        )


def reproject(rig: Rig, joints: Array) -> Array:
    """Joints [F, J, 3] in the rig's unit as its cameras see them, raw image pixels [F, V, J, 2]; NaN stays NaN."""
    seen = []
    for camera in rig.cameras:
        x = joints @ camera.R.T + camera.t
        depth = np.where(x[..., 2:] > 0, x[..., 2:], np.nan)
        seen.append(distort(camera, x[..., :2] / depth))
    return np.stack(seen, axis=1)


def _rows(rows: Any, count: int, width: int) -> list[list[float]]:
    """JSON rows with null for what is missing → rows of numbers with NaN."""
    empty = [np.nan] * width
    return [empty if row is None else [np.nan if x is None else x for x in row] for row in rows or [None] * count]


@dataclass(frozen=True)
class Scores:
    """One method on one set of frames; shares are 0…1, NaN where there was nothing to measure."""

    jdr: float
    jdr_hidden: float
    error2d_mean_px: float
    error2d_median_px: float
    reprojection_mean_px: float
    reprojection_median_px: float
    served_reprojection_mean_px: float
    served_reprojection_median_px: float
    triangulated: float
    within_half_head_3d: float
    mpjpe_mm: float
    mpjpe_aligned_mm: float
    median_aligned_mm: float
    limb_length_sd_mm: float


def score(truth: Truth, prediction: Prediction) -> Scores:
    """All figures of one method.

    A joint without a 3D position counts as wrong in ``within_half_head_3d`` and is left out of the MPJPE, whose share
    of joints is ``triangulated``. ``mpjpe_mm`` compares world coordinates as they are; the ``aligned`` figures do so
    after one rigid motion fitted over all frames, since a world carried by other cameras may be turned and shifted.
    """
    error2d = np.linalg.norm(prediction.poses2d - truth.joints_image, axis=-1)
    right = np.nan_to_num(error2d, nan=np.inf) < truth.radius_px
    scored = truth.scored3d
    as_served = distances_mm(prediction.pose3d, truth.joints_world)
    aligned = distances_mm(align(prediction.pose3d, truth.joints_world, scored), truth.joints_world)
    known = scored & np.isfinite(as_served)
    reprojection = np.linalg.norm(prediction.reprojected - truth.joints_image, axis=-1)
    reprojection = reprojection[truth.scored & np.isfinite(reprojection)]
    return Scores(
        jdr=_mean(right[truth.scored]),
        jdr_hidden=_mean(right[truth.scored & truth.hidden]),
        error2d_mean_px=_mean(error2d[truth.scored & np.isfinite(error2d)]),
        error2d_median_px=_median(error2d[truth.scored & np.isfinite(error2d)]),
        reprojection_mean_px=_mean(reprojection),
        reprojection_median_px=_median(reprojection),
        served_reprojection_mean_px=_mean(prediction.reprojection_px[known]),
        served_reprojection_median_px=_median(prediction.reprojection_px[known]),
        triangulated=_mean(known[scored]),
        within_half_head_3d=_mean(np.nan_to_num(aligned, nan=np.inf)[scored] < HALF_HEAD_MM),
        mpjpe_mm=_mean(as_served[known]),
        mpjpe_aligned_mm=_mean(aligned[known]),
        median_aligned_mm=_median(aligned[known]),
        limb_length_sd_mm=limb_length_sd_mm(prediction.pose3d, truth.skeleton, scored),
    )


def distances_mm(joints: Array, truth: Array) -> Array:
    """Distance of joints [F, J, 3] in metres from the truth, in millimetres [F, J]."""
    return np.linalg.norm(joints - truth, axis=-1) * 1000.0


def align(joints: Array, truth: Array, use: Mask) -> Array:
    """Joints [F, J, 3] after the one rigid motion (no scale) that brings them nearest to the truth over all frames.

    Fitted on the joints that ``use`` [F, J] names, reweighted so that a joint gone astray does not turn the world
    (Cauchy weights, scale 30 mm). Unchanged where fewer than three joints are known.
    """
    known = use & np.isfinite(joints).all(-1) & np.isfinite(truth).all(-1)
    source, target = joints[known], truth[known]
    if len(source) < 3:
        return joints
    weights = np.ones(len(source))
    R, t = np.eye(3), np.median(target - source, axis=0)
    for _ in range(_ALIGNMENT_ROUNDS):
        error = np.linalg.norm(source @ R.T + t - target, axis=1) * 1000.0
        weights = 1 / (1 + np.square(error / _INLIER_MM))
        R, t = _kabsch(source, target, weights)
    return joints @ R.T + t


def _kabsch(source: Array, target: Array, weights: Array) -> tuple[Array, Array]:
    """The rotation and shift with the least weighted squared error (Kabsch 1976)."""
    share = weights / weights.sum()
    a, b = share @ source, share @ target
    U, _, Vt = np.linalg.svd((target - b).T @ (share[:, None] * (source - a)))
    R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    return R, b - R @ a


def limb_length_sd_mm(joints: Array, skeleton: Skeleton, use: Mask) -> float:
    """How much a limb's length varies over time: the standard deviation, averaged over limbs; needs no truth."""
    spread = []
    for a, b in skeleton.limbs:
        both = use[:, a] & use[:, b] & np.isfinite(joints[:, a] + joints[:, b]).all(-1)
        if both.sum() > 1:
            spread.append(np.linalg.norm(joints[both, a] - joints[both, b], axis=-1).std() * 1000.0)
    return _mean(np.array(spread))


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values)) if values.size else float("nan")


def _median(values: NDArray[Any]) -> float:
    return float(np.median(values)) if values.size else float("nan")

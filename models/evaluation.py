"""Holding engines against labelled frames: what each finds, and how well the cameras fit the labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models import geometry, metrics
from models.labelled import LabelledFrames
from models.rig import Rig
from models.runtime import Engine, Poses
from models.triangulation import triangulate

Array = NDArray[np.float64]
_CHUNK = 8  # frames a time, so that memory does not grow with the capture


def run(engine: Engine, frames: LabelledFrames, triangulation: str = "robust") -> Poses:
    """The engine's poses for all frames; its fused heatmaps are not kept (shape [0, …])."""
    parts = [
        engine.poses(frames.heatmaps[start : start + _CHUNK], triangulation)
        for start in range(0, len(frames.frames), _CHUNK)
    ]
    names = [name for name in Poses.__dataclass_fields__ if name != "heatmaps"]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Poses(heatmaps=parts[0].heatmaps[:0], **joined)


def labels_in_space(cameras: Rig, frames: LabelledFrames) -> Array:
    """The labels triangulated with ``cameras`` [F, J, 3], NaN where they disagree or too few views are labelled."""
    count, views, joints = frames.visibility.shape
    flat = frames.joints_view.swapaxes(1, 2).reshape(-1, views, 2)
    return triangulate(cameras.projections(), flat, method="robust").points.reshape(count, joints, 3)


def label_reprojection_px(cameras: Rig, frames: LabelledFrames) -> Array:
    """Reprojection error [F, V, J], in raw image pixels, of the labels triangulated with ``cameras`` by all views.

    Every labelled view counts, so cameras that disagree cannot hide in the consensus.
    """
    count, views, joints = frames.visibility.shape
    flat = frames.joints_view.swapaxes(1, 2).reshape(-1, views, 2)
    points = triangulate(cameras.projections(), flat, method="dlt").points
    return _reprojection_px(cameras, points.reshape(count, joints, 3), frames)


def calibration(sent: Rig, used: Rig, frames: LabelledFrames, extrinsics: str = "sent") -> dict[str, Any]:
    """How well the labels fit the cameras as sent and as used, and how far each camera was turned and moved.

    Cameras whose ``extrinsics`` come from the labels alone are in a world of their own, and those sent may be made up:
    how far they are from each other says nothing, and is left out.
    """
    before, after = label_reprojection_px(sent, frames), label_reprojection_px(used, frames)
    spread = after / _image_pixels(used)[:, None]
    return {
        "repaired": used is not sent,
        "extrinsics": extrinsics,
        "label_reprojection_px_sent": rounded(mean(before), 3),
        "label_reprojection_px": rounded(mean(after), 3),
        "label_reprojection_median_heatmap_px": rounded(_median(spread), 3),
        "cameras": [
            {
                "camera": old.id,
                "turned_degrees": round(float(np.degrees(Rotation.from_matrix(new.R @ old.R.T).magnitude())), 3),
                "moved_mm": round(float(np.linalg.norm(new.centre - old.centre)) * sent.metres_per_unit * 1000, 2),
            }
            for old, new in zip(sent.cameras, used.cameras, strict=True)
            if extrinsics == "sent"
        ],
    }


def label_agreement(frames: LabelledFrames, truth: Array) -> float:
    """Share of the joints labelled in two views or more whose labels meet in space; NaN when there is none."""
    shared = np.isfinite(frames.joints_view).all(-1).sum(1) >= 2
    return mean(np.isfinite(truth[shared]).all(-1).astype(np.float64))


def _reprojection_px(cameras: Rig, points: Array, frames: LabelledFrames) -> Array:
    """Distance of projected joints [F, J, 3] from the labels [F, V, J] in raw image pixels, NaN where either lacks."""
    count, joints = points.shape[:2]
    seen = geometry.project(cameras.projections(), points.reshape(-1, 3)).reshape(count, joints, -1, 2).swapaxes(1, 2)
    return np.linalg.norm(seen - frames.joints_view, axis=-1) * _image_pixels(cameras)[:, None]


def _image_pixels(rig: Rig) -> Array:
    """Raw image pixels of one heatmap pixel [V]."""
    views = zip(rig.cameras, rig.views, strict=True)
    return np.array([geometry.image_pixels_per_heatmap_pixel(camera, view) for camera, view in views])


@dataclass(frozen=True)
class Measures:
    """What became of every labelled joint, NaN where it does not count.

    ``jdr`` [F, V, J] is 1 where it was found and 0 where not, ``jdr_hidden`` the same of hidden joints alone,
    ``reprojection_px`` [F, V, J] how far the joint in space is from the label in raw image pixels, ``mpjpe_mm`` [F, J]
    how far from the labels in space.
    """

    jdr: Array
    jdr_hidden: Array
    reprojection_px: Array
    mpjpe_mm: Array

    def subset(self, index: NDArray[np.intp]) -> "Measures":
        """The frames at ``index``."""
        return Measures(*(getattr(self, name)[index] for name in Measures.__dataclass_fields__))


def measures(engine: Engine, poses: Poses, frames: LabelledFrames, truth: Array) -> Measures:
    """Poses held against labels, joint by joint; ``truth`` [F, J, 3] are the labels in space."""
    threshold = metrics.half_head_px(engine.rig.skeleton, frames.joints_view)[..., None]
    labelled = np.isfinite(frames.joints_view).all(-1)
    found = np.where(labelled, metrics.detected(poses.joints_view, frames.joints_view, threshold), np.nan)
    return Measures(
        jdr=found,
        jdr_hidden=np.where(frames.visibility == 1, found, np.nan),
        reprojection_px=_reprojection_px(engine.cameras, poses.pose3d, frames),
        mpjpe_mm=np.linalg.norm(poses.pose3d - truth, axis=-1) * engine.rig.metres_per_unit * 1000,
    )


def scores(engine: Engine, poses: Poses, frames: LabelledFrames, truth: Array) -> dict[str, Any]:
    """JDR, reprojection error and MPJPE of poses against labels; ``truth`` [F, J, 3] are the labels in space."""
    threshold = metrics.half_head_px(engine.rig.skeleton, frames.joints_view)[..., None]
    labels, estimate = frames.joints_view, poses.joints_view
    error, compared, missing = metrics.mpjpe(poses.pose3d, truth, engine.rig.metres_per_unit)
    reprojection = _reprojection_px(engine.cameras, poses.pose3d, frames)
    joints = engine.rig.skeleton.joints
    return {
        "jdr": rounded(metrics.jdr(estimate, labels, threshold)),
        "jdr_hidden": rounded(metrics.jdr(estimate, labels, threshold, frames.visibility == 1)),
        "reprojection_px": rounded(mean(reprojection), 3),
        "reprojection_median_px": rounded(_median(reprojection), 3),
        "mpjpe_mm": rounded(error, 2),
        "joints_compared": compared,
        "joints_not_triangulated": missing,
        "per_joint": [
            {
                "joint": name,
                "jdr": rounded(metrics.jdr(estimate[:, :, j], labels[:, :, j], threshold[..., 0])),
                "reprojection_px": rounded(mean(reprojection[:, :, j]), 3),
            }
            for j, name in enumerate(joints)
        ],
        "per_camera": [
            {"camera": camera.id, "jdr": rounded(metrics.jdr(estimate[:, v], labels[:, v], threshold[:, v]))}
            for v, camera in enumerate(engine.rig.cameras)
        ],
    }


def epipolar_error_px(cameras: Rig, frames: LabelledFrames) -> list[float]:
    """Per pair, the mean distance in heatmap pixels of a source label from the target label's epipolar line."""
    P, errors = cameras.projections(), []
    for target, source in cameras.pairs:
        F = geometry.fundamental_matrix(P[target], P[source])
        lines = geometry.epipolar_lines(F, frames.joints_view[:, target])
        points = frames.joints_view[:, source]
        errors.append(mean(np.abs((lines[..., :2] * points).sum(-1) + lines[..., 2])))
    return errors


def threshold_summary(rig: Rig, frames: LabelledFrames) -> dict[str, Any]:
    """How near counts as detected, in words and as the median over the frames' views."""
    threshold = metrics.half_head_px(rig.skeleton, frames.joints_view)
    rule = "half the labelled head" if rig.skeleton.head else "half of a tenth of the side of the labelled joints' box"
    return {"rule": rule, "median_heatmap_px": rounded(_median(threshold), 3)}


def mean(values: Array) -> float:
    """The mean of what is finite; NaN where nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _median(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def rounded(value: float, digits: int = 4) -> float | None:
    """A number for JSON, which has no NaN."""
    return round(value, digits) if np.isfinite(value) else None

"""Judging engines on held-out frames, and the verdict on a checkpoint."""

from collections.abc import Mapping
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
_MAX_LABEL_ERROR_PX = 1.5  # of the median label, in heatmap pixels: several times what an annotator is off by
_MAX_TURN_DEGREES = 10.0
_MIN_AGREEMENT = 0.5
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


def verdict(report: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether ``fused`` beats ``no_fusion`` and ``epipolar`` on held-out frames, and the reason in words.

    The higher JDR wins; at the same JDR the lower reprojection error. Labels that contradict each other are no
    yardstick: by them one engine is better than another only by chance. And where even repaired cameras do not fit the
    labels, or had to be turned far, the calibration is wrong in a way that no repair should hide.
    """
    doubt = _doubt_about_cameras(report["calibration"])
    if doubt is not None:
        return False, doubt
    agreement = report.get("label_agreement")
    if agreement is None or agreement < _MIN_AGREEMENT:
        share = "none" if agreement is None else f"only {agreement:.0%}"
        return False, (
            f"Not promoted: {share} of the joints labelled in two cameras or more meet in space on held-out frames, "
            "so that nothing can be judged by these labels."
        )
    fused = report["fused"]
    for rival, name in (("no_fusion", "No-Fusion"), ("epipolar", "epipolar fusion")):
        if _rank(fused) <= _rank(report[rival]):
            return False, (
                f"Not promoted: on held-out frames its {_told(fused)} does not beat {name} with {_told(report[rival])}."
            )
    return True, (
        f"Promoted: on held-out frames its {_told(fused)} beats No-Fusion with {_told(report['no_fusion'])} "
        f"and epipolar fusion with {_told(report['epipolar'])}.{_elsewhere(report['calibration'])}"
    )


def _elsewhere(calibration: Mapping[str, Any]) -> str:
    """What changes for whoever uses the joints in space, once such a checkpoint serves."""
    if calibration["extrinsics"] != "labels":
        return ""
    return " Its joints in space are in the world that the labels define, not in that of the extrinsics sent."


def _doubt_about_cameras(calibration: Mapping[str, Any]) -> str | None:
    error = calibration["label_reprojection_median_heatmap_px"]
    if error is not None and error > _MAX_LABEL_ERROR_PX:
        which = "the cameras, not even repaired ones" if calibration["repaired"] else "the cameras"
        return (
            f"Not promoted: the labels do not fit {which}: their median reprojection error is {error:.1f} heatmap "
            "pixels. Are calibrations exchanged between cameras, or labels between joints?"
        )
    for camera in calibration["cameras"]:
        if camera["turned_degrees"] > _MAX_TURN_DEGREES:
            return (
                f"Not promoted: to fit the labels, camera {camera['camera']} had to be turned by "
                f"{camera['turned_degrees']:.0f}°. Calibrate it again, or check that it is the camera it claims to be."
            )
    return None


def _told(score: Mapping[str, Any]) -> str:
    jdr, reprojection = score["jdr"], score["reprojection_px"]
    return (
        f"JDR of {'unknown' if jdr is None else format(jdr, '.1%')} "
        f"(reprojection {'unknown' if reprojection is None else format(reprojection, '.1f') + ' px'})"
    )


def _rank(score: Mapping[str, Any]) -> tuple[float, float]:
    reprojection = score["reprojection_px"]
    return score["jdr"] or 0.0, -(np.inf if reprojection is None else reprojection)


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

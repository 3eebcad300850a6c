"""Labelled frames of a rig: reading API.md's labels, checking them, and what they cover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.duplicates import first_alike
from models.errors import InsufficientLabels, InvalidLabels
from models.geometry import image_to_view
from models.rig import Rig

MIN_LABELLED_FRAMES = 8
MIN_DISTINCT_POSES = 4
RECOMMENDED_FRAMES = 50
LABEL_SIGMA_PX = 0.25  # heatmap pixels that a careful annotator is off by
_MIN_JOINTS_IN_TWO_VIEWS = 4
_MOSTLY_DISTINCT = 0.75
_GRID = 4  # coverage is told on a 4×4 grid of each view


@dataclass(frozen=True)
class LabelledFrames:
    """Synchronised frames with heatmaps and 2D labels, all in view pixels.

    ``heatmaps`` float32 [F, V, J, 64, 64]; ``joints_view`` [F, V, J, 2], NaN where not labelled; ``visibility``
    [F, V, J] as in COCO (0 not labelled, 1 labelled though hidden, 2 labelled and visible).
    """

    frames: tuple[str, ...]
    heatmaps: NDArray[np.float32]
    joints_view: NDArray[np.float64]
    visibility: NDArray[np.uint8]

    def subset(self, index: Sequence[int] | NDArray[np.intp]) -> "LabelledFrames":
        """The frames at ``index``, in that order."""
        chosen = [int(i) for i in index]
        return LabelledFrames(
            tuple(self.frames[i] for i in chosen),
            self.heatmaps[chosen], self.joints_view[chosen], self.visibility[chosen],
        )  # fmt: skip


def labels_from_document(
    rig: Rig, document: Mapping[str, Any]
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.uint8]]:
    """Read ``{"frames": [{"frame": id, "cameras": {camera: [[x, y, v], …]}}]}``.

    Returns the frame ids, raw image coordinates [F, V, J, 2] (NaN where v = 0 or a camera is left out) and visibility
    [F, V, J]. Raises InvalidLabels naming the frame and camera at fault, InsufficientLabels where there is too little.
    """
    entries = document.get("frames") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        raise InvalidLabels('The labels must be an object {"frames": [...]}.', at="labels.frames")
    shape = (len(entries), len(rig.cameras), len(rig.skeleton.joints))
    joints, visibility = np.full((*shape, 2), np.nan), np.zeros(shape, np.uint8)
    names: dict[str, int] = {}
    for index, entry in enumerate(entries):
        name, cameras = _frame_entry(entry, f"labels.frames[{index}]")
        if name in names:
            raise InvalidLabels(f"The frame {name!r} is labelled twice.", at=f"labels.frames[{index}].frame")
        names[name] = index
        for camera_id, rows in cameras.items():
            at = f"labels.frames[{index}].cameras.{camera_id}"
            view = _camera_index(rig, camera_id, name, at)
            joints[index, view], visibility[index, view] = _camera_rows(rig, view, rows, at)
    check_enough(visibility)
    return tuple(names), joints, visibility


def _frame_entry(entry: object, at: str) -> tuple[str, Mapping[str, Any]]:
    name = entry.get("frame") if isinstance(entry, Mapping) else None
    cameras = entry.get("cameras") if isinstance(entry, Mapping) else None
    if not isinstance(name, str) or not name:
        raise InvalidLabels("Each labelled frame needs its id, a string, as frame.", at=f"{at}.frame")
    if not isinstance(cameras, Mapping):
        raise InvalidLabels(f"Frame {name!r} needs cameras, an object of camera id → joints.", at=f"{at}.cameras")
    return name, cameras


def _camera_index(rig: Rig, camera_id: str, frame: str, at: str) -> int:
    try:
        return rig.camera_index(camera_id)
    except KeyError:
        known = ", ".join(camera.id for camera in rig.cameras)
        raise InvalidLabels(
            f"Frame {frame!r} has labels for camera {camera_id!r}, which this rig does not have. It has {known}.",
            at=at, code="unknown_camera",
        ) from None  # fmt: skip


def _camera_rows(rig: Rig, view: int, rows: object, at: str) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    count = len(rig.skeleton.joints)
    try:
        values = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.shape != (count, 3):
        raise InvalidLabels(f"Expected {count} rows [x, y, v], one a joint of {rig.joints}.", at=at)
    seen = values[:, 2]
    if not np.isin(seen, (0, 1, 2)).all():
        raise InvalidLabels("v must be 0 (not labelled), 1 (labelled though hidden) or 2 (visible).", at=at)
    if not np.isfinite(values[seen > 0]).all():
        raise InvalidLabels("A labelled joint has a coordinate that is not a finite number.", at=at)
    camera = rig.cameras[view]
    size = np.array([camera.width, camera.height])
    far = (np.abs(values[:, :2] - size / 2) > 1.5 * size).any(1) & (seen > 0)
    if far.any():
        joint = rig.skeleton.joints[int(far.argmax())]
        raise InvalidLabels(
            f"The label of {joint} lies far outside the {camera.width}×{camera.height} image: "
            "are the coordinates raw image pixels?", at=at,
        )  # fmt: skip
    return np.where(seen[:, None] > 0, values[:, :2], np.nan), seen.astype(np.uint8)


def check_enough(visibility: NDArray[np.uint8]) -> None:
    """Raise InsufficientLabels unless enough frames have joints labelled in two or more views. visibility [F, V, J]."""
    usable = int((((visibility > 0).sum(1) >= 2).sum(1) >= _MIN_JOINTS_IN_TWO_VIEWS).sum())
    if usable < MIN_LABELLED_FRAMES:
        raise InsufficientLabels(
            f"Only {usable} frames have at least {_MIN_JOINTS_IN_TWO_VIEWS} joints labelled in two or more cameras. "
            f"At least {MIN_LABELLED_FRAMES} are needed, about {RECOMMENDED_FRAMES} are recommended.",
            at="labels.frames",
        )


def check_distinct(joints_view: NDArray[np.float64]) -> None:
    """Raise InsufficientLabels unless labels [F, V, J, 2] in heatmap pixels show enough distinct poses."""
    distinct, count = len(np.unique(first_alike(joints_view))), len(joints_view)
    if distinct < MIN_DISTINCT_POSES:
        raise InsufficientLabels(
            f"The {count} labelled frames show only {distinct} distinct poses; a pose labelled again counts once. "
            f"At least {MIN_DISTINCT_POSES} are needed, about {RECOMMENDED_FRAMES} are recommended.",
            at="labels.frames",
        )


def labels_to_view(rig: Rig, joints_image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raw image coordinates [F, V, J, 2] → heatmap pixels [F, V, J, 2]."""
    return np.stack(
        [
            image_to_view(camera, view, joints_image[:, index])
            for index, (camera, view) in enumerate(zip(rig.cameras, rig.views, strict=True))
        ],
        axis=1,
    )


def coverage(
    rig: Rig, joints_view: NDArray[np.float64], visibility: NDArray[np.uint8]
) -> tuple[dict[str, Any], list[str]]:
    """What the labels cover, per camera, and warnings in words where more labels would help."""
    cameras: dict[str, Any] = {}
    warnings: list[str] = []
    distinct = len(np.unique(first_alike(joints_view)))
    usable = int(((visibility > 0).sum(1) >= 2).any(1).sum())
    if usable < RECOMMENDED_FRAMES // 2:
        warnings.append(f"{usable} labelled frames are few: about {RECOMMENDED_FRAMES} are recommended.")
    if distinct < _MOSTLY_DISTINCT * len(visibility):
        warnings.append(
            f"The {len(visibility)} labelled frames show only {distinct} distinct poses, and count as so many "
            f"(at least {MIN_DISTINCT_POSES} are needed): frames farther apart in time tell more."
        )
    for index, camera in enumerate(rig.cameras):
        labelled = visibility[:, index] > 0
        points = joints_view[:, index][labelled]
        inside = ((points > -0.5) & (points < 63.5)).all(1)
        cells = {tuple(cell) for cell in ((points[inside] + 0.5) // (64 / _GRID)).astype(int).tolist()}
        covered, within = len(cells) / _GRID**2, float(inside.mean()) if len(points) else 0.0
        cameras[camera.id] = {
            "labelled": int(labelled.sum()), "hidden": int((visibility[:, index] == 1).sum()),
            "inside_view": round(within, 4), "view_covered": round(covered, 4),
        }  # fmt: skip
        warnings += _camera_warnings(camera.id, len(points), within, covered)
    return {"cameras": cameras, "frames_with_two_views": usable, "distinct_poses": distinct}, warnings


def _camera_warnings(camera_id: str, count: int, within: float, covered: float) -> list[str]:
    if count == 0:
        return [f"Camera {camera_id} has no labels: its pose cannot be repaired and its fusion not be judged."]
    warnings = []
    if within < 0.9:
        warnings.append(f"{1 - within:.0%} of the labels of camera {camera_id} lie outside its view.")
    if covered < 0.25:
        warnings.append(f"The labels of camera {camera_id} cover only {covered:.0%} of its view.")
    return warnings

"""What is told of one frame, as JSON: joints before and after fusion and as labelled, and what the views agree on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.dashboard.frames.opening import FrameLabels
from app.dashboard.frames.words import Change, in_words
from models import geometry
from models.metrics import detected
from models.poses import Poses
from models.rig import Rig
from models.runtime import Engine
from models.triangulation import triangulate
from models.views import View

Array = NDArray[np.float64]
_MOVED_PX = 3.5  # heatmap pixels: farther from its own peak, a joint is where other views say


@dataclass(frozen=True)
class Told:
    """A frame with what two engines found in it, one frame each: unfused, and with the fusion that is looked at."""

    name: str
    fusion: str
    before: Poses
    after: Poses
    rig: Rig
    cameras: Rig
    labels: "SeenLabels | None"


@dataclass(frozen=True)
class SeenLabels:
    """Labels in heatmap pixels of the views that a frame is seen through: points [V, J, 2], visibility, near [V]."""

    points: Array
    visibility: NDArray[np.uint8]
    near: Array

    @classmethod
    def of(cls, rig: Rig, labels: FrameLabels | None) -> "SeenLabels | None":
        """The labels of a frame, as the rig's views show them."""
        if labels is None:
            return None
        views = zip(rig.cameras, rig.views, labels.joints_image, strict=True)
        points = np.stack([geometry.image_to_view(camera, view, places) for camera, view, places in views])
        return cls(points, labels.visibility, labels.near * np.array([view.scale for view in rig.views]))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which joints are labelled [V, J]."""
        return np.asarray(np.isfinite(self.points).all(-1))

    def found(self, poses: Poses) -> NDArray[np.bool_]:
        """Which labelled joints the poses of this one frame have found [V, J]."""
        return self.known & detected(poses.joints_view[0], self.points, self.near[:, None])


def tell(
    name: str, fusion: str, engines: tuple[Engine, Engine], heatmaps: NDArray[np.floating], labels: FrameLabels | None
) -> Told:
    """What two engines, unfused and fused, find in a frame's heatmaps [V, J, 64, 64] seen through their views."""
    before, after = (engine.poses(heatmaps[None]) for engine in engines)
    rig = engines[1].rig
    return Told(name, fusion, before, after, rig, engines[1].cameras, SeenLabels.of(rig, labels))


def describe(told: Told, *, pictures: bool) -> dict[str, Any]:
    """The document of a frame."""
    rig, labels = told.rig, told.labels
    changes = _changes(told)
    return {
        "frame": told.name,
        "checkpoint": told.fusion,
        "pictures": pictures,
        "joints": list(rig.skeleton.joints),
        "limbs": rig.skeleton.limbs,
        "cameras": [_camera(camera, view) for camera, view in zip(told.cameras.cameras, rig.views, strict=True)],
        "joints2d": {
            "before": _in_2d(told.before),
            "after": _in_2d(told.after),
            "labels": None if labels is None else _labels_2d(labels),
        },
        "joints3d": {
            "before": _rows(told.before.pose3d[0], 6),
            "after": _rows(told.after.pose3d[0], 6),
            "labels": None if labels is None else _rows(_in_space(told.cameras, labels), 6),
        },
        "reprojection_px": {"before": _reprojection(told.before), "after": _reprojection(told.after)},
        "views_used": {"before": told.before.views_used[0].tolist(), "after": told.after.views_used[0].tolist()},
        "fundamental": _fundamental(told.cameras),
        "changes": [change.as_json() for change in changes],
        "figures": _figures(told),
        "words": in_words(changes, is_labelled=labels is not None, is_fused=told.fusion != "none"),
    }


def _camera(camera: Any, view: View) -> dict[str, Any]:
    return {
        **{name: getattr(camera, name) for name in ("id", "width", "height")},
        **{name: getattr(camera, name).tolist() for name in ("K", "R", "t", "centre")},
        "view": {"K": view.K.tolist()},
    }


def _in_2d(poses: Poses) -> Any:
    found = np.isfinite(poses.poses2d[0]).all(-1, keepdims=True)
    points = np.where(found, poses.joints_view[0], np.nan)
    return [_rows(view, 3) for view in np.concatenate([points, poses.confidence2d[0][..., None]], -1)]


def _labels_2d(labels: SeenLabels) -> Any:
    return [_rows(view, 3) for view in np.concatenate([labels.points, labels.visibility[..., None]], -1)]


def _in_space(cameras: Rig, labels: SeenLabels) -> Array:
    return triangulate(cameras.projections(), labels.points.swapaxes(0, 1), method="robust").points


def _changes(told: Told) -> list[Change]:
    """Which joints fusion found, lost or, where nobody labelled them, placed elsewhere than their own view did."""
    if told.labels is not None:
        was, is_now = told.labels.found(told.before), told.labels.found(told.after)
        kinds = {"gained": ~was & is_now, "lost": was & ~is_now}
    else:
        away = np.linalg.norm(told.after.joints_view[0] - told.before.joints_view[0], axis=-1)
        kinds = {"moved": (away > _MOVED_PX) & (told.after.views_used[0] >= 2)}
    return [
        Change(kind, told.rig.cameras[view].id, told.rig.skeleton.joints[joint], int(view), int(joint))
        for kind, which in kinds.items()
        for view, joint in np.argwhere(which)
    ]


def _figures(told: Told) -> dict[str, Any]:
    """Numbers of the whole frame, before and after: medians in raw image pixels, means, and joints found."""
    both, labels = {"before": told.before, "after": told.after}, told.labels
    figures: dict[str, Any] = {
        "reprojection_px": {when: _middle(poses.reprojection_px[0]) for when, poses in both.items()},
        "views_used": {when: _mean(poses.views_used[0]) for when, poses in both.items()},
    }
    if labels is None:
        return figures | {"label_px": None, "found": None, "labelled": 0}
    cameras = zip(told.rig.cameras, told.rig.views, strict=True)
    pixel = np.array([geometry.image_pixels_per_heatmap_pixel(camera, view) for camera, view in cameras])
    away = {when: np.linalg.norm(poses.joints_view[0] - labels.points, axis=-1) for when, poses in both.items()}
    return figures | {
        "label_px": {when: _middle((distance * pixel[:, None])[labels.known]) for when, distance in away.items()},
        "found": {when: int(labels.found(poses).sum()) for when, poses in both.items()},
        "labelled": int(labels.known.sum()),
    }


def _fundamental(cameras: Rig) -> list[list[Any]]:
    """F [3, 3] of each pair: the line in view b of a point in view a is ``fundamental[a][b] @ point``."""
    P = list(cameras.projections())
    return [[None if a is b else _short(geometry.fundamental_matrix(a, b)) for b in P] for a in P]


def _short(matrix: Array) -> list[list[float]]:
    return [[float(f"{value:.7g}") for value in row] for row in matrix]


def _reprojection(poses: Poses) -> Sequence[float | None]:
    return [round(float(value), 3) if np.isfinite(value) else None for value in poses.reprojection_px[0]]


def _middle(values: Array) -> float | None:
    finite = values[np.isfinite(values)]
    return round(float(np.median(finite)), 2) if finite.size else None


def _mean(values: NDArray[np.intp]) -> float | None:
    used = values[values > 0]
    return round(float(used.mean()), 2) if used.size else None


def _rows(points: Array, decimals: int) -> list[list[float] | None]:
    """Points [N, D] as lists, None where one is not known."""
    return [row.round(decimals).tolist() if np.isfinite(row).all() else None for row in points]

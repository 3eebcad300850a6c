"""Cameras in space: where each stands, what it can see, and how much of it each two see together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.distortion import undistort
from models.errors import InvalidRig
from models.inspection.reading import Draft, Station
from models.inspection.readings import Meeting, meeting
from models.inspection.rotations import nearest
from models.rig import Camera
from models.views import image_border

Array = NDArray[np.float64]
_GRID = 9
_REACH = 0.3  # half the side of what is looked at, of the distance to where the cameras meet
_BY_MOST = 0.7  # as far as cameras along a walkway are about no common place
_MET = 0.15  # a place that the cameras look at together, if only just
_DEPTHS = np.geomspace(0.1, 2.0, 7)  # of the distances in the rig, where there is no such place


@dataclass(frozen=True)
class Placed:
    """A camera in the world; ``corners`` [4, 3] are the directions of its image's corners, one unit deep."""

    index: int
    id: str
    centre: Array
    axes: Array
    corners: Array
    border: tuple[Array, Array]

    def sees(self, points: Array) -> NDArray[np.bool_]:
        """Which of ``points`` [N, 3] lie within the undistorted image's bounds."""
        local = (points - self.centre) @ self.axes.T
        low, high = self.border
        with np.errstate(divide="ignore", invalid="ignore"):
            flat = local[:, :2] / local[:, 2:]
        return np.asarray((local[:, 2] > 0) & (flat >= low).all(1) & (flat <= high).all(1))


@dataclass(frozen=True)
class Layout:
    """All that could be placed. ``overlap`` [V, V]: of what the one that sees less sees, the share both see."""

    placed: tuple[Placed, ...]
    half_angles: Array
    place: Meeting | None
    sight: NDArray[np.bool_]
    overlap: Array

    @property
    def centres(self) -> Array:
        """Where the cameras stand [V, 3]."""
        return np.array([camera.centre for camera in self.placed]).reshape(-1, 3)

    @property
    def indices(self) -> list[int]:
        """Their places in the document."""
        return [camera.index for camera in self.placed]


def lay_out(draft: Draft) -> Layout:
    """Place every camera of which lens and pose are known."""
    placed = tuple(_place(station) for station in draft.stations if station.has_lens and _is_posed(station))
    half_angles = np.array([_half_angle(camera) for camera in placed])
    met = None
    if len(placed) > 1:
        R = np.stack([camera.axes for camera in placed])
        t = np.stack([-camera.axes @ camera.centre for camera in placed])
        met = meeting(R, t, half_angles)
        met = met if met.quality > _MET and 2 * met.seen.sum() >= max(4, len(placed)) else None
    points = _points(draft, placed, met)
    sight = np.array([camera.sees(points) for camera in placed]).reshape(len(placed), len(points))
    return Layout(placed, half_angles, met, sight, _overlap(sight))


def _is_posed(station: Station) -> bool:
    return station.R is not None and station.t is not None


def _place(station: Station) -> Placed:
    R, t, K = station.R, station.t, station.K
    assert R is not None and t is not None and K is not None  # noqa: S101, PT018 - has been seen to
    axes = nearest(R)
    low, high = _border(station)
    flat = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    rays = np.column_stack([flat, np.ones(4)])
    return Placed(station.index, station.id, -axes.T @ t, axes, rays @ axes, (low, high))


def _border(station: Station) -> tuple[Array, Array]:
    """Bounds of the undistorted image in normalised coordinates; of the image as it is, where that cannot be told."""
    K, size = np.array(station.K), (station.width or 1, station.height or 1)
    try:
        camera = Camera(station.id, *size, K, np.eye(3), np.zeros(3),
                        np.zeros(0) if station.dist is None else station.dist, station.model)  # fmt: skip
        edges = image_border(camera)
        corners = np.clip(undistort(camera, np.array([[0, 0], size])), edges.min(0), edges.max(0))
        return np.minimum(edges.min(0), corners.min(0)), np.maximum(edges.max(0), corners.max(0))
    except InvalidRig:
        focal = np.maximum(np.abs(np.diag(K)[:2]), 1e-3 * max(size))
        return -K[:2, 2] / focal, (np.array(size) - K[:2, 2]) / focal


def _half_angle(camera: Placed) -> float:
    low, high = camera.border
    return float(np.arctan(max(abs(low).max(), abs(high).max())))


def _points(draft: Draft, placed: Sequence[Placed], met: Meeting | None) -> Array:
    """Where it is asked who sees what: in the volume, about the place of meeting, or else in front of each camera."""
    if draft.volume is not None:
        return _box(*draft.volume)
    if met is not None and met.seen.mean() > _BY_MOST:
        centres = np.array([camera.centre for camera in placed])
        side = _REACH * float(np.median(np.linalg.norm(centres - met.place, axis=1)))
        return _box(met.place - side, met.place + side)
    if len(placed) < 2:
        return np.zeros((0, 3))
    centres = np.array([camera.centre for camera in placed])
    scale = max(float(np.linalg.norm(centres - centres.mean(0), axis=1).max()), 1e-9)
    return np.concatenate([_frustum(camera, scale) for camera in placed])


def _box(low: Array, high: Array) -> Array:
    sides = [np.linspace(a, b, _GRID) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 3)


def _frustum(camera: Placed, scale: float) -> Array:
    low, high = camera.border
    across = np.stack(np.meshgrid(*(np.linspace(a, b, 5) for a, b in zip(low, high, strict=True))), -1).reshape(-1, 2)
    rays = np.column_stack([across, np.ones(len(across))]) @ camera.axes
    return camera.centre + (2 * scale * _DEPTHS[:, None, None] * rays).reshape(-1, 3)


def _overlap(sight: NDArray[np.bool_]) -> Array:
    seen = sight.astype(np.float64)
    both, each = seen @ seen.T, seen.sum(1)
    return np.asarray(both / np.maximum(np.minimum(each[:, None], each), 1))

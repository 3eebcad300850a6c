"""The view of a camera: a fixed square window of its undistorted image, at heatmap scale."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.distortion import distort, undistort
from models.errors import InvalidRig

if TYPE_CHECKING:
    from models.rig import Camera

Array = NDArray[np.float64]
HEATMAP_SIZE = 64
_MAX_TANGENT = 5.0  # a pinhole window wider than 79° off axis spends its pixels on stretched corners
_MIN_SIDE = 1e-3
_FACES = np.array(
    [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]]
)  # corner = 4x+2y+z


@dataclass(frozen=True)
class View:
    """Similarity from normalised undistorted coordinates (x/z, y/z, 1) to heatmap pixels, ``K`` [3, 3]."""

    K: Array

    @property
    def scale(self) -> float:
        """Heatmap pixels per unit of normalised coordinates: the view's focal length."""
        return float(np.hypot(self.K[0, 0], self.K[1, 0]))

    @property
    def roll(self) -> float:
        """Rotation of the window in the image plane, in radians."""
        return float(np.arctan2(self.K[1, 0], self.K[0, 0]))

    def apply(self, normalised: Array) -> Array:
        """Normalised coordinates [..., 2] → heatmap pixels [..., 2]."""
        return normalised @ self.K[:2, :2].T + self.K[:2, 2]

    def invert(self, points: Array) -> Array:
        """Heatmap pixels [..., 2] → normalised coordinates [..., 2]."""
        return (points - self.K[:2, 2]) @ np.linalg.inv(self.K[:2, :2]).T


def view_of(camera: "Camera", up: Array | None, volume: tuple[Array, Array] | None) -> View:
    """The smallest upright square window that holds the projected volume, or else the whole image."""
    border = image_border(camera)
    window = border if volume is None else _shown(camera, volume, border.min(0), border.max(0))
    turn = upright(camera, up, _middle(camera, volume))
    turned = window @ turn.T
    low, high = turned.min(0), turned.max(0)
    side = float((high - low).max())
    if side < _MIN_SIDE:
        raise InvalidRig(f"The capture volume is too small in the image of camera {camera.id!r}.", at="volume")
    scale = HEATMAP_SIZE / side
    K = np.eye(3)
    K[:2, :2] = scale * turn
    K[:2, 2] = (HEATMAP_SIZE - 1) / 2 - scale * (low + high) / 2
    return View(K)


def image_border(camera: "Camera", samples: int = 33) -> Array:
    """Points along the undistorted image's border in normalised coordinates [4·samples, 2]."""
    x, y = (-0.5, camera.width - 0.5), (-0.5, camera.height - 0.5)
    along_x, along_y = np.linspace(*x, samples), np.linspace(*y, samples)
    pixels = np.concatenate(
        [np.column_stack([along_x, np.full(samples, edge)]) for edge in y]
        + [np.column_stack([np.full(samples, edge), along_y]) for edge in x]
    )
    points = undistort(camera, pixels)
    honest = np.linalg.norm(distort(camera, points) - pixels, axis=1) < 1.0  # beyond its range the model folds over
    kept = points[honest & np.isfinite(points).all(1)]
    if len(kept) < samples:
        raise InvalidRig(f"The distortion of camera {camera.id!r} cannot be undone at its border.", at="dist")
    return np.clip(kept, -_MAX_TANGENT, _MAX_TANGENT)


def _shown(camera: "Camera", volume: tuple[Array, Array], low: Array, high: Array) -> Array:
    """Corners [N, 2] of what the window ``low`` … ``high`` shows of the volume, in normalised coordinates.

    Each face of the box is clipped by the four planes through the optical centre and the window's sides, so that a
    volume of which parts lie behind the camera or all around it is no special case.
    """
    corners = np.array(list(product(*np.stack(volume, axis=1)))) @ camera.R.T + camera.t
    if (corners[:, 2] <= 0).all():
        raise InvalidRig(f"The capture volume lies behind camera {camera.id!r}.", at="volume")
    planes = np.array([[1, 0, -low[0]], [-1, 0, high[0]], [0, 1, -low[1]], [0, -1, high[1]]])
    kept = []
    for face in corners[_FACES]:
        for plane in planes:
            face = _clip(face, plane)  # noqa: PLW2901 - what is left of it
        kept.append(face)
    points = np.concatenate(kept)
    points = points[points[:, 2] > 1e-9 * np.abs(corners).max()]
    if not len(points):
        raise InvalidRig(f"The capture volume lies outside the image of camera {camera.id!r}.", at="volume")
    return points[:, :2] / points[:, 2:]


def _clip(polygon: Array, plane: Array) -> Array:
    """The part of a polygon [N, 3] where ``plane · point`` is not negative (Sutherland & Hodgman)."""
    before, after = polygon @ plane, np.roll(polygon, -1, axis=0) @ plane
    crossing = before * after < 0
    share = np.where(crossing, before, 0) / np.where(crossing, before - after, 1)
    crossed = polygon + share[:, None] * (np.roll(polygon, -1, axis=0) - polygon)
    both = np.stack([polygon, crossed], axis=1)
    return both[np.stack([before >= 0, crossing], axis=1)]


def _middle(camera: "Camera", volume: tuple[Array, Array] | None) -> Array:
    """Where the camera sees the volume's centre, or its optical axis, in normalised coordinates [2]."""
    if volume is None:
        return np.zeros(2)
    point = camera.R @ (volume[0] + volume[1]) / 2 + camera.t
    return point[:2] / point[2] if point[2] > 0 else np.zeros(2)


def upright(camera: "Camera", up: Array | None, centre: Array) -> Array:
    """Rotation [2, 2] that turns the world's up to the image's up, seen at ``centre`` [2] in normalised coordinates."""
    if up is None:
        return np.eye(2)
    direction = camera.R @ (up / np.linalg.norm(up))
    x, y = direction[:2] - centre * direction[2]
    length = float(np.hypot(x, y))
    if length < 0.05:  # looking straight down: no direction is up
        return np.eye(2)
    return np.array([[-y, x], [-x, -y]]) / length

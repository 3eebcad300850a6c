"""Projection, distortion and epipolar geometry at heatmap scale."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.distortion import distort, undistort
from models.rig import Camera
from models.views import HEATMAP_SIZE, View

__all__ = [
    "INPUT_SIZE", "coarse_view_maps", "distort", "epipolar_lines", "fundamental_matrix",
    "image_pixels_per_heatmap_pixel", "image_to_view", "project", "undistort", "view_maps", "view_to_image",
]  # fmt: skip

Array = NDArray[np.float64]
INPUT_SIZE = 256


def image_to_view(camera: Camera, view: View, pixels: Array) -> Array:
    """Raw image pixels [..., 2] → heatmap pixels [..., 2]."""
    return view.apply(undistort(camera, pixels))


def view_to_image(camera: Camera, view: View, points: Array) -> Array:
    """Heatmap pixels [..., 2] → raw image pixels [..., 2], distorted as the camera sees."""
    return distort(camera, view.invert(np.asarray(points, np.float64)))


def image_pixels_per_heatmap_pixel(camera: Camera, view: View) -> float:
    """How many raw image pixels one heatmap pixel spans, near the optical axis."""
    return float(np.sqrt(camera.K[0, 0] * camera.K[1, 1]) / view.scale)


def view_maps(camera: Camera, view: View) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Maps for ``cv2.remap`` [256, 256] that undistort a raw image and cut its view in one step."""
    centres = (np.arange(INPUT_SIZE) + 0.5) * HEATMAP_SIZE / INPUT_SIZE - 0.5
    grid = np.stack(np.meshgrid(centres, centres), axis=-1)
    pixels = view_to_image(camera, view, grid).astype(np.float32)
    return np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1])


def coarse_view_maps(
    camera: Camera, view: View, size: int = INPUT_SIZE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same as ``view_maps``, exact at the centres of heatmap pixels and bilinear between them.

    ``size`` [size, size] of the maps is a multiple of the heatmaps'.
    """
    centres = np.arange(-1, HEATMAP_SIZE + 1, dtype=np.float64)
    pixels = view_to_image(camera, view, np.stack(np.meshgrid(centres, centres), axis=-1)).astype(np.float32)
    step = size // HEATMAP_SIZE
    fine = cv2.resize(pixels, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)[step:-step, step:-step]
    return np.ascontiguousarray(fine[..., 0]), np.ascontiguousarray(fine[..., 1])


def project(P: Array, points: Array) -> Array:
    """Project world points [N, 3] through P [V, 3, 4] → [N, V, 2]; NaN for a point behind a camera."""
    homogeneous = np.concatenate([points, np.ones_like(points[:, :1])], axis=1)
    image = np.einsum("vij,nj->nvi", P, homogeneous)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(image[..., 2:] > 0, image[..., :2] / image[..., 2:], np.nan)


def fundamental_matrix(P_target: Array, P_source: Array) -> Array:
    """F [3, 3] with the epipolar line in the source view ``F @ x_target``.

    Hartley & Zisserman, Multiple View Geometry, 2nd ed., eq. 9.1: F = [e']× P' P⁺, scaled to unit norm.
    """
    centre = np.linalg.svd(P_target)[2][-1]
    x, y, z = P_source @ centre
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    F: Array = cross @ P_source @ np.linalg.pinv(P_target)
    return F / np.linalg.norm(F)


def epipolar_lines(F: Array, points: Array) -> Array:
    """Lines [..., 3] of target points [..., 2], with unit normals, so that ``line · (x, y, 1)`` is a distance."""
    homogeneous = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
    lines = homogeneous @ F.T
    return lines / np.maximum(np.linalg.norm(lines[..., :2], axis=-1, keepdims=True), 1e-12)

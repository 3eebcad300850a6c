"""Lens distortion in OpenCV's two models: raw image pixels ⇄ normalised undistorted coordinates."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from models.rig import Camera

Array = NDArray[np.float64]
_UNDISTORT_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)


def undistort(camera: "Camera", pixels: Array) -> Array:
    """Raw image pixels [..., 2] → normalised undistorted coordinates [..., 2]. NaN stays NaN."""
    flat = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
    if flat.size == 0:
        return np.zeros_like(pixels, dtype=np.float64)
    if camera.model == "fisheye":
        out = cv2.fisheye.undistortPoints(flat, camera.K, camera.dist)
    else:
        out = cv2.undistortPoints(flat, camera.K, camera.dist, criteria=_UNDISTORT_CRITERIA)
    return np.where(np.isfinite(flat), out, np.nan).reshape(np.shape(pixels))


def distort(camera: "Camera", normalised: Array) -> Array:
    """Normalised undistorted coordinates [..., 2] → raw image pixels [..., 2]. NaN stays NaN."""
    flat = np.asarray(normalised, np.float64).reshape(-1, 1, 2)
    if flat.size == 0:
        return np.zeros_like(normalised, dtype=np.float64)
    if camera.model == "fisheye":
        out = cv2.fisheye.distortPoints(flat, camera.K, camera.dist)
    else:
        rays = np.concatenate([flat, np.ones_like(flat[..., :1])], axis=-1)
        out, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), camera.K, camera.dist)
    return np.where(np.isfinite(flat), out, np.nan).reshape(np.shape(normalised))

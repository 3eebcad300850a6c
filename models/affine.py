"""Equation (2) of MetaFuse (CVPR 2020): ``ω_i = T_{θ_i}(ω_base)``, and the canonical θ of an epipolar line.

The weights with which pixel i of a target view sums a source view are the generic map ω_base under an affine transform
of six numbers: grid point j of the source view, in normalised coordinates (−1 and 1 are the centres of the border
pixels), is sent by θ_i to the place in ω_base where it is read bilinearly, zero outside.
"""

import numpy as np
from numpy.typing import NDArray

from models.geometry import epipolar_lines
from models.views import HEATMAP_SIZE

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

PIXELS = HEATMAP_SIZE * HEATMAP_SIZE
HALF = (HEATMAP_SIZE - 1) / 2
ACROSS = 8.0  # heatmap pixels from ω_base's middle row to its border
ALONG = float(np.sqrt(2.0))  # half-widths of the view from ω_base's middle column to its border: the corners are inside
GRID = np.stack(np.meshgrid(np.arange(HEATMAP_SIZE), np.arange(HEATMAP_SIZE)), axis=-1).astype(float).reshape(-1, 2)
NORMALISED = (GRID - HALF) / HALF


def theta_of_lines(lines: Array, width: float = 1.0) -> Array32:
    """The canonical θ [..., 2, 3] of lines [..., 3] with unit normals in heatmap pixels.

    ``width`` stretches the ridge across the line. Row 1 is the position along the line, from the foot of the
    perpendicular through the view's centre; row 2 the signed distance from it.
    """
    normal, offset = lines[..., :2], lines[..., 2] + HALF * lines[..., :2].sum(-1)
    along = np.stack([normal[..., 1], -normal[..., 0], np.zeros_like(offset)], axis=-1) / ALONG
    across = np.concatenate([HALF * normal, offset[..., None]], axis=-1) / (ACROSS * width)
    return np.stack([along, across], axis=-2).astype(np.float32)


def lines_of_theta(theta: Array32) -> Array:
    """The lines [..., 3] of canonical θ [..., 2, 3], with unit normals in heatmap pixels."""
    across = theta[..., 1, :].astype(np.float64)
    normal = across[..., :2] / np.linalg.norm(across[..., :2], axis=-1, keepdims=True)
    offset = across[..., 2] / np.linalg.norm(across[..., :2], axis=-1) * HALF
    return np.concatenate([normal, (offset - HALF * normal.sum(-1))[..., None]], axis=-1)


def width_of_theta(theta: Array32) -> Array:
    """The width [...] by which canonical θ [..., 2, 3] stretch the ridge."""
    return HALF / (ACROSS * np.linalg.norm(theta[..., 1, :2].astype(np.float64), axis=-1))


def theta_of_pair(F: Array, width: float = 1.0) -> Array32:
    """The calibrated θ [64, 64, 2, 3] of a pair whose epipolar lines in the source view are ``F @ x_target``.

    A pixel on the epipole has no line of its own, and one's line may lie at infinity: they take one from beside them.
    """
    lines = epipolar_lines(F, GRID)
    lost = np.linalg.norm(lines[:, :2], axis=1) < 0.5
    lines[lost] = epipolar_lines(F, GRID[lost] + 0.5)
    return theta_of_lines(lines, width).reshape(HEATMAP_SIZE, HEATMAP_SIZE, 2, 3)


def transform(omega: Array32, theta: Array32, pixels: NDArray[np.intp] | None = None) -> Array32:
    """Equation (2): the weights [..., 4096] of θ [..., 2, 3], reading ω_base bilinearly with zeros outside.

    With ``pixels`` [N], only the weights [..., N] of these source pixels.
    """
    theta = np.asarray(theta, np.float32)
    grid = NORMALISED if pixels is None else NORMALISED[pixels]
    points = np.column_stack([grid, np.ones(len(grid))]).T.astype(np.float32)
    reach = np.float32(1 + 0.999 / HALF)  # a whole pixel beyond the border the weight is zero
    x, y = (theta[..., row, :] @ points for row in (0, 1))
    inside = np.abs(y) < reach
    inside &= np.abs(x) < reach
    weights = np.zeros(x.shape, np.float32)
    middle = np.float32(HALF + 1)
    padded = np.pad(np.asarray(omega, np.float32), 1)
    weights[inside] = _bilinear(padded, x[inside] * np.float32(HALF) + middle, y[inside] * np.float32(HALF) + middle)
    return weights


def _bilinear(image: Array32, x: Array32, y: Array32) -> Array32:
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    right, down = x - column, y - row
    stride = image.shape[1]
    corner, flat = row * stride + column, image.ravel()
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    lower = flat[corner + stride] * (1 - right) + flat[corner + stride + 1] * right
    return upper * (1 - down) + lower * down

"""The pixel convention of heatmaps, rendering targets and decoding joints.

Pixel centres are whole numbers 0…63. A backbone's input pixel u_in and a heatmap pixel u_hm are related by
``u_hm = (u_in + 0.5)/4 − 0.5``.
"""

import numpy as np
from numpy.typing import NDArray

from models.views import HEATMAP_SIZE

__all__ = ["HEATMAP_SIZE", "decode", "render"]

_REFINEMENT_STEPS = 2
_REFINEMENT_SIGMA = 1.25


def render(
    points: NDArray[np.float64], sigma: float | NDArray[np.float64], size: int = HEATMAP_SIZE
) -> NDArray[np.float32]:
    """Unit Gaussians of ``sigma`` heatmap pixels at points [..., 2] → [..., size, size]; zero where a point is NaN."""
    grid = np.arange(size, dtype=np.float64)
    scale = -0.5 / np.square(np.asarray(sigma, np.float64))[..., None]
    across = np.exp(scale * np.square(grid - points[..., 0, None]))
    down = np.exp(scale * np.square(grid - points[..., 1, None]))
    return np.nan_to_num(down[..., :, None] * across[..., None, :]).astype(np.float32)


def decode(heatmaps: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strongest peak of each heatmap [..., H, W], to sub-pixel accuracy.

    Returns points [..., 2] in heatmap pixels and confidence [...], the height of the peak. The peak is refined by a few
    mean-shift steps under a Gaussian window, which for a Gaussian peak is unbiased but for its truncation, and which a
    noisy single pixel cannot throw off as a parabola through three pixels would be.
    """
    *lead, height, width = heatmaps.shape
    flat = heatmaps.reshape(-1, height * width)
    best = flat.argmax(1)
    rows = np.arange(len(flat))
    points = _mean_shift(flat.reshape(-1, height, width), best % width, best // width)
    return points.reshape(*lead, 2), flat[rows, best].astype(np.float64).reshape(lead)


def _mean_shift(heatmaps: NDArray[np.floating], x: NDArray[np.intp], y: NDArray[np.intp]) -> NDArray[np.float64]:
    """Refine integer peaks x, y [N] of heatmaps [N, H, W] within a 7×7 window."""
    _, height, width = heatmaps.shape
    offset = np.arange(-3, 4)
    columns, lines = x[:, None] + offset, y[:, None] + offset
    in_width, in_height = (columns >= 0) & (columns < width), (lines >= 0) & (lines < height)
    in_width &= in_width[:, ::-1]  # at the border the window stays as wide on both sides, or it would pull inwards
    in_height &= in_height[:, ::-1]
    inside = in_width[:, None, :] & in_height[:, :, None]
    patch = heatmaps[
        np.arange(len(heatmaps))[:, None, None],
        np.clip(lines, 0, height - 1)[:, :, None],
        np.clip(columns, 0, width - 1)[:, None, :],
    ]
    weight = np.where(inside, np.maximum(patch, 0), 0.0)
    shift = np.zeros((len(heatmaps), 2))
    for _ in range(_REFINEMENT_STEPS):
        across = np.exp(-0.5 * np.square((offset - shift[:, :1]) / _REFINEMENT_SIGMA))
        down = np.exp(-0.5 * np.square((offset - shift[:, 1:]) / _REFINEMENT_SIGMA))
        local = weight * down[:, :, None] * across[:, None, :]
        total = np.maximum(local.sum((1, 2)), 1e-12)
        mean = np.stack([(local.sum(1) * offset).sum(1), (local.sum(2) * offset).sum(1)], axis=1) / total[:, None]
        shift = shift + np.clip((mean - shift) * 2, -1, 1)  # the window halves the step of a peak as wide as itself
    return np.stack([x, y], axis=1).astype(np.float64) + np.clip(shift, -1, 1)


def decode_near(
    heatmaps: NDArray[np.floating], places: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strongest peak of each heatmap [..., H, W] within ``reach`` pixels of a place [..., 2].

    Returns points [..., 2] and their heights [...], as ``decode`` does; zero where no pixel lies so near.
    """
    *lead, height, width = heatmaps.shape
    flat, near = heatmaps.reshape(-1, height, width), places.reshape(-1, 2)
    offset = np.arange(-int(reach) - 1, int(reach) + 2)
    x = np.rint(near[:, 0]).astype(np.intp)[:, None] + offset
    y = np.rint(near[:, 1]).astype(np.intp)[:, None] + offset
    inside = ((x >= 0) & (x < width))[:, None, :] & ((y >= 0) & (y < height))[:, :, None]
    inside &= np.square(x - near[:, :1])[:, None, :] + np.square(y - near[:, 1:])[:, :, None] <= reach**2
    rows = np.arange(len(flat))
    columns, lines = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    patch = flat[rows[:, None, None], lines[:, :, None], columns[:, None, :]]
    best = np.where(inside, patch, -np.inf).reshape(len(flat), len(offset) ** 2).argmax(1)
    line, column = lines[rows, best // len(offset)], columns[rows, best % len(offset)]
    points = _mean_shift(flat, column, line)
    height = np.where(inside.any((1, 2)), flat[rows, line, column], 0)
    return points.reshape(*lead, 2), height.astype(np.float64).reshape(lead)

"""The pencil of epipolar lines: θ of all 4096 target pixels from θ at 160 knots.

The second row of a canonical θ is a line. The lines of a pair, which all meet in one point (the epipole, perhaps at
infinity), span a space of two dimensions, so each is an angle in it. θ that make no pencil (learned freely for every
pixel) are kept as they are, one knot a pixel.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.affine import ACROSS, HALF, lines_of_theta, theta_of_lines, transform, width_of_theta

KNOTS = 160  # at most about a heatmap pixel apart
_FINE = 1024
_PART = 128  # knots built at a time, so that one a pixel does not need gigabytes
_TOLERANCE_PX = 0.05
_CENTRED = np.array([[HALF, 0, HALF], [0, HALF, HALF], [0, 0, 1]])  # lines in pixels → lines in normalised coordinates


@dataclass(frozen=True)
class Pencil:
    """θ at knots [L, 2, 3] and, for each target pixel, between which two knots it lies and how far."""

    knots: NDArray[np.float32]
    index: NDArray[np.intp]
    fraction: NDArray[np.float32]

    def lookup(self) -> sparse.csr_array:
        """The linear look-up [4096, L] from values at the knots."""
        return self._lookup

    @cached_property
    def _lookup(self) -> sparse.csr_array:
        rows = np.arange(len(self.index))
        below = sparse.csr_array((1 - self.fraction, (rows, self.index)), shape=(len(rows), len(self.knots)))
        above_index = np.minimum(self.index + 1, len(self.knots) - 1)
        above = sparse.csr_array((self.fraction, (rows, above_index)), shape=(len(rows), len(self.knots)))
        return (below + above).tocsr()


@dataclass(frozen=True)
class PencilWeights:
    """The weights of a pair whose θ are a pencil: equation (2) at its knots, and the look-up between them."""

    omega: NDArray[np.float32]
    pencil: Pencil

    @property
    def size(self) -> int:
        """The number of knots L."""
        return len(self.pencil.knots)

    def rows(self) -> NDArray[np.float32]:
        """The weights of the source pixels at the knots [L, 4096]."""
        parts = np.array_split(self.pencil.knots, -(-self.size // _PART))
        return np.concatenate([transform(self.omega, part) for part in parts])

    def lookup(self) -> sparse.csr_array:
        """The linear look-up [4096, L] of target pixels in the knots."""
        return self.pencil.lookup()


def pencil_of(theta: NDArray[np.float32]) -> Pencil:
    """Find the pencil in θ [64, 64, 2, 3], or keep all pixels where there is none."""
    flat = theta.reshape(-1, 2, 3)
    every_pixel = Pencil(flat, np.arange(len(flat)), np.zeros(len(flat), np.float32))
    if np.linalg.norm(flat[:, 1, :2], axis=1).min() <= 0:
        return every_pixel
    lines, width = lines_of_theta(flat) @ _CENTRED, float(width_of_theta(flat).mean())
    near = np.abs(lines[:, 2]) <= HALF * np.sqrt(2) + ACROSS * width + 1  # the ridges of others miss the source view
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    basis = np.linalg.svd(lines, full_matrices=False)[2][:2]
    near = near if near.any() else np.ones_like(near)
    angle = _angles(lines @ basis.T, near)
    if not np.allclose(_theta_at(angle, basis, width, flat), flat, atol=_TOLERANCE_PX / HALF):
        return every_pixel
    fine = np.linspace(*_range(angle[near]), _FINE)
    travelled = _travelled(fine, basis)
    knots = np.interp(np.linspace(0, travelled[-1], KNOTS), travelled, fine)
    place = np.interp(angle, fine, travelled) / max(travelled[-1], 1e-12) * (KNOTS - 1)
    index = np.clip(place.astype(np.intp), 0, KNOTS - 2)
    return Pencil(_theta_at(knots, basis, width), index, (place - index).astype(np.float32))


def _range(angle: NDArray[np.float64]) -> tuple[float, float]:
    return float(angle.min()), float(angle.max())


def _travelled(angle: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far, in heatmap pixels of the source view, the pencil's line has moved on its way through angles [N].

    Knots at equal distances keep every ridge sharp, wherever the epipole lies.
    """
    lines = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ basis
    lines /= np.maximum(np.linalg.norm(lines[:, :2], axis=1, keepdims=True), 1e-9)
    step = np.diff(lines, axis=0) * HALF
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(step[:, :2], axis=1) + np.abs(step[:, 2]))])


def _angles(coordinates: NDArray[np.float64], near: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Angles of lines in the pencil's plane [N, 2], the branch cut opposite to those that are ``near`` [N]."""
    double = 2 * np.arctan2(coordinates[:, 1], coordinates[:, 0])  # a line and its opposite are the same line
    mean = np.angle(np.exp(1j * double[near]).mean())
    return (np.angle(np.exp(1j * (double - mean))) + mean) / 2


def _theta_at(
    angle: NDArray[np.float64],
    basis: NDArray[np.float64],
    width: float,
    like: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Canonical θ [N, 2, 3] of the pencil's lines at angles [N], turned to the direction of the lines of ``like``."""
    lines = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ basis @ np.linalg.inv(_CENTRED)
    theta = theta_of_lines(lines / np.linalg.norm(lines[:, :2], axis=1, keepdims=True), width)
    if like is None:
        return theta
    direction = np.sign((theta[:, 1] * like[:, 1]).sum(1))[:, None, None]
    return (theta * direction).astype(np.float32)

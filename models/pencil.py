"""The pencil of epipolar lines: θ of all 4096 target pixels from θ at 160 knots.

The second row of a canonical θ is a line. The lines of a pair, which all meet in one point (the epipole, perhaps at
infinity), span a space of two dimensions, so each is an angle in it. θ that make no pencil (learned freely for every
pixel) are kept as they are, one knot a pixel.

Both forms can be carried to crops of the two views, C¹ and C² (crop pixel → view pixel): ``θ'_i = θ(C¹·i) ∘ C²``, the
row across the line rescaled so that the ridge keeps its width in crop pixels. For a pencil, whose lines are
``ℓ_i = F·i``, these are the canonical θ of ``C²ᵀ·F·C¹``, the crops' own fundamental matrix.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.affine import ACROSS, GRID, HALF, PIXELS, lines_of_theta, theta_of_lines, transform, width_of_theta
from models.views import HEATMAP_SIZE

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

KNOTS = 160  # at most about a heatmap pixel apart
_FINE = 1024
_PART = 128  # knots built at a time, so that one a pixel does not need gigabytes
_TOLERANCE_PX = 0.05
_POINTS = np.column_stack([GRID, np.ones(PIXELS)])
_CENTRED = np.array([[HALF, 0, HALF], [0, HALF, HALF], [0, 0, 1]])  # lines in pixels → lines in normalised coordinates


@dataclass(frozen=True)
class Pencil:
    """θ at knots [L, 2, 3] and, for each target pixel, between which two knots it lies and how far.

    ``F`` [3, 3] has the lines ``F @ pixel``, where the θ are canonical, and ``width`` is that of their ridge.
    """

    knots: Array32
    index: NDArray[np.intp]
    fraction: Array32
    F: Array | None = None
    width: float = 1.0

    @classmethod
    def of_every_pixel(cls, theta: Array32) -> "Pencil":
        """θ [4096, 2, 3] that are no pencil: a knot each."""
        return cls(theta, np.arange(len(theta)), np.zeros(len(theta), np.float32))

    def carried(self, target: Array, source: Array) -> "Pencil":
        """The same θ between crops of the two views; ``target`` and ``source`` [3, 3] map crop to view pixels."""
        if self.F is None:
            return Pencil.of_every_pixel(_composed(self.knots, target, source))
        return pencil_of_pair(source.T @ self.F @ target, self.width)

    def lookup(self) -> sparse.csr_array:
        """The linear look-up [4096, L] from values at the knots."""
        return self._lookup

    @cached_property
    def _lookup(self) -> sparse.csr_array:
        above = np.minimum(self.index + 1, len(self.knots) - 1)
        columns = np.stack([self.index, above], axis=1).astype(np.int32).ravel()
        shares = np.stack([1 - self.fraction, self.fraction], axis=1).astype(np.float32).ravel()
        starts = np.arange(0, len(columns) + 1, 2, dtype=np.int32)
        return sparse.csr_array((shares, columns, starts), shape=(len(self.index), len(self.knots)))


@dataclass(frozen=True)
class PencilWeights:
    """The weights of a pair whose θ are a pencil: equation (2) at its knots, and the look-up between them."""

    omega: NDArray[np.float32]
    pencil: Pencil

    @property
    def size(self) -> int:
        """The number of knots L."""
        return len(self.pencil.knots)

    def rows(self, pixels: NDArray[np.intp] | None = None) -> Array32:
        """The weights of the source's ``pixels`` [N], or of all 4096, at the knots [L, N]."""
        parts = np.array_split(self.pencil.knots, -(-self.size // _PART))
        return np.concatenate([transform(self.omega, part, pixels) for part in parts])

    def lookup(self) -> sparse.csr_array:
        """The linear look-up [4096, L] of target pixels in the knots."""
        return self.pencil.lookup()

    def carried(self, target: Array, source: Array, /) -> "PencilWeights":
        """The weights between crops of the two views; ``target`` and ``source`` [3, 3] map crop to view pixels."""
        return PencilWeights(self.omega, self.pencil.carried(target, source))


def pencil_of(theta: Array32) -> Pencil:
    """Find the pencil in θ [64, 64, 2, 3], or keep all pixels where there is none."""
    flat = theta.reshape(-1, 2, 3)
    if np.linalg.norm(flat[:, 1, :2], axis=1).min() <= 0:
        return Pencil.of_every_pixel(flat)
    lines, width = lines_of_theta(flat) @ _CENTRED, float(width_of_theta(flat).mean())
    near = _near(lines, width)
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    basis = np.linalg.svd(lines, full_matrices=False)[2][:2]
    angle = _angles(lines @ basis.T, near)
    if not np.allclose(_theta_at(angle, basis, width, flat), flat, atol=_TOLERANCE_PX / HALF):
        return Pencil.of_every_pixel(flat)
    return _pencil(angle, near, basis, width, _matrix_of(lines))


def pencil_of_pair(F: Array, width: float = 1.0) -> Pencil:
    """The pencil of the canonical θ of a pair whose epipolar lines in the source view are ``F @ pixel``."""
    basis = np.linalg.svd(_CENTRED.T @ F)[0][:, :2].T
    coordinates = _POINTS @ (basis @ _CENTRED.T @ F).T
    near = _near(coordinates @ basis, width)
    return _pencil(_angles(coordinates, near), near, basis, width, F)


def _pencil(angle: Array, near: NDArray[np.bool_], basis: Array, width: float, F: Array) -> Pencil:
    """Knots at equal distances over the angles [4096] that are ``near`` [4096], and where among them all others lie."""
    fine = np.linspace(*_range(angle[near]), _FINE)
    travelled = _travelled(fine, basis)
    knots = np.interp(np.linspace(0, travelled[-1], KNOTS), travelled, fine)
    place = np.interp(angle, fine, travelled) / max(travelled[-1], 1e-12) * (KNOTS - 1)
    index = np.clip(place.astype(np.intp), 0, KNOTS - 2)
    return Pencil(_theta_at(knots, basis, width), index, (place - index).astype(np.float32), F, width)


def _near(lines: Array, width: float) -> NDArray[np.bool_]:
    """Which lines [4096, 3], in normalised coordinates, pass so near the source view that their ridge reaches it.

    All of them where none does.
    """
    distance = HALF * np.abs(lines[:, 2]) / np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12)
    near = distance <= HALF * np.sqrt(2) + ACROSS * width + 1
    return near if near.any() else np.ones_like(near)


def _matrix_of(lines: Array) -> Array:
    """F [3, 3] whose ``F @ pixel`` are the lines [4096, 3], of unit length in normalised coordinates, of all pixels.

    ``ℓ × F·x = 0`` is linear in F: its nine numbers are the eigenvector of the least eigenvalue.
    """
    points = np.column_stack([(GRID - HALF) / HALF, np.ones(PIXELS)])
    across = np.eye(3) - lines[:, :, None] * lines[:, None, :]
    normal = np.einsum("iab,ic,id->acbd", across, points, points, optimize=True).reshape(9, 9)
    least = np.linalg.eigh(normal)[1][:, 0].reshape(3, 3)
    to_points = np.array([[1 / HALF, 0, -1], [0, 1 / HALF, -1], [0, 0, 1]])
    F: Array = np.linalg.inv(_CENTRED).T @ least @ to_points
    return F / np.linalg.norm(F)


def _composed(theta: Array32, target: Array, source: Array) -> Array32:
    """``θ(C¹·i) ∘ C²`` [4096, 2, 3] of any field θ [4096, 2, 3], read bilinearly and at its border beyond it."""
    places = np.clip(_POINTS @ target[:2].T, 0, HEATMAP_SIZE - 1)
    corner = np.minimum(places.astype(np.intp), HEATMAP_SIZE - 2)
    (right, down), field = (places - corner).T[..., None, None], theta.reshape(HEATMAP_SIZE, HEATMAP_SIZE, 2, 3)
    x, y = corner.T
    upper = field[y, x] * (1 - right) + field[y, x + 1] * right
    lower = field[y + 1, x] * (1 - right) + field[y + 1, x + 1] * right
    to_pixels = np.array([[HALF, 0, HALF], [0, HALF, HALF], [0, 0, 1]])
    composed = (upper * (1 - down) + lower * down) @ (np.linalg.inv(to_pixels) @ source @ to_pixels)
    composed[:, 1] /= np.sqrt(np.linalg.det(source[:2, :2]))
    return composed.astype(np.float32)


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

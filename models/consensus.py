"""Which views agree on a point: every camera pair proposes one, all views judge it.

Two rays meet in closed form, so V cameras give V·(V−1)/2 hypotheses a joint without sampling; the one with the greatest
confidence-weighted truncated support wins (MSAC: Torr & Zisserman, MLESAC, CVIU 2000).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CHUNK = 400_000  # residuals held at once: bounds the memory, and fits the processor's cache
_MIN_DEPTH = 1e-6
_REFINEMENT_STEPS = 12
_MIN_SINE2 = np.sin(np.deg2rad(0.5)) ** 2  # rays closer to parallel than this propose no point


@dataclass(frozen=True)
class Cameras:
    """Projections in a world moved and scaled to the rig, so that nothing depends on the user's origin or units.

    ``P`` [V, 3, 4] has a third row of unit norm, so that the third coordinate of P·X is the depth; ``centres`` [V, 3];
    ``focal`` [V] is in pixels. ``origin`` [3] and ``scale`` lead back: X_world = origin + scale · X.
    """

    P: Array
    centres: Array
    focal: Array
    origin: Array
    scale: float

    @classmethod
    def normalised(cls, P: Array) -> "Cameras":
        """Take P [V, 3, 4] of any scale and sign."""
        M = P[:, :, :3]
        signed = np.sign(np.linalg.det(M)) / np.linalg.norm(M[:, 2], axis=1)
        M = M * signed[:, None, None]
        centres = -np.linalg.solve(M, P[:, :, 3:] * signed[:, None, None])[..., 0]
        origin = centres.mean(0)
        scale = float(np.sqrt(np.square(centres - origin).sum(1).mean())) or 1.0
        centres = (centres - origin) / scale
        moved = np.concatenate([M, -M @ centres[..., None]], axis=2)
        return cls(moved, centres, np.sqrt(np.linalg.det(M)), origin, scale)

    def rays(self, pixels: Array) -> Array:
        """Directions [N, V, 3] through pixels [N, V, 2], scaled so that one length is one unit of depth."""
        inverse = np.linalg.inv(self.P[:, :, :3])
        directions: Array = np.einsum("vij,nvj->nvi", inverse[:, :, :2], pixels) + inverse[:, :, 2]
        return directions

    def to_world(self, points: Array) -> Array:
        """Points [..., 3] of this normalised world → the user's world."""
        return self.origin + self.scale * points


def squared_residuals(P: Array, points: Array, pixels: Array) -> Array:
    """Squared distance in pixels [..., V] of projected points [..., 3] from pixels [..., V, 2].

    Infinite behind a camera: such a view never agrees.
    """
    depth = points @ P[:, 2, :3].T + P[:, 2, 3]
    in_front = depth > _MIN_DEPTH
    inverse = 1 / np.where(in_front, depth, 1)
    x = (points @ P[:, 0, :3].T + P[:, 0, 3]) * inverse - pixels[..., 0]
    y = (points @ P[:, 1, :3].T + P[:, 1, 3]) * inverse - pixels[..., 1]
    return np.where(in_front, x * x + y * y, np.inf)


def consensus(cameras: Cameras, pixels: Array, weights: Array, inlier_px: float) -> tuple[Array, Array, Array]:
    """The point that the views agree on best.

    Takes finite pixels [N, V, 2] and weights [N, V], zero where there is no detection. Returns points [N, 3], their
    support [N] (Σ weight · (1 − min(r²/inlier_px², 1))), and the support [N] of the strongest rival among the views
    that the winner leaves out. No two rays that meet: NaN with zero support.
    """
    views = len(cameras.P)
    count = len(pixels)
    points, support, rival = np.full((count, 3), np.nan), np.zeros(count), np.zeros(count)
    pairs = np.triu_indices(views, 1)
    for rows in _chunks(count, max(1, len(pairs[0])) * views):
        points[rows], support[rows], rival[rows] = _vote(cameras, pixels[rows], weights[rows], inlier_px, pairs)
    return points, support, rival


def _chunks(count: int, row_size: int) -> Iterator[slice]:
    step = max(1, _CHUNK // row_size)
    return (slice(start, start + step) for start in range(0, count, step))


def _vote(
    cameras: Cameras, pixels: Array, weights: Array, inlier_px: float, pairs: tuple[NDArray[np.intp], ...]
) -> tuple[Array, Array, Array]:
    a, b = pairs
    if not len(a) or not len(pixels):
        return np.full((len(pixels), 3), np.nan), np.zeros(len(pixels)), np.zeros(len(pixels))
    hypotheses, valid = meeting_points(cameras, cameras.rays(pixels), a, b)
    valid &= (weights[:, a] > 0) & (weights[:, b] > 0)
    agreement = squared_residuals(cameras.P, hypotheses, pixels[:, None]) * (-1 / inlier_px**2) + 1
    votes = np.maximum(agreement, 0) * weights[:, None] * valid[..., None]
    rows = np.arange(len(pixels))
    best = votes.sum(2).argmax(1)
    winner = votes[rows, best]
    support = winner.sum(1)
    rival = np.einsum("nhv,nv->nh", votes, (winner <= 0).astype(np.float64)).max(1)
    points = np.where(support[:, None] > 0, hypotheses[rows, best], np.nan)
    return points, support, rival


def meeting_points(
    cameras: Cameras, rays: Array, a: NDArray[np.intp], b: NDArray[np.intp]
) -> tuple[Array, NDArray[np.bool_]]:
    """Where the rays [N, V, 3] of each pair (a, b) [H] come nearest: points [N, H, 3] and whether they do so in front.

    The point lies between the two feet of the common perpendicular, nearer to the ray on which an error of a pixel is
    the smaller distance.
    """
    gram = rays @ rays.transpose(0, 2, 1)
    along = rays @ cameras.centres.T
    own = np.einsum("nvv->nv", along)
    aa, bb = np.einsum("nvv->nv", gram)[:, a], np.einsum("nvv->nv", gram)[:, b]
    ab, to_b, to_a = gram[:, a, b], along[:, a, b] - own[:, a], own[:, b] - along[:, b, a]
    det = aa * bb - ab * ab
    valid = det > _MIN_SINE2 * aa * bb
    det = np.where(valid, det, 1)
    depth_a, depth_b = (to_b * bb - to_a * ab) / det, (to_b * ab - to_a * aa) / det
    valid &= (depth_a > _MIN_DEPTH) & (depth_b > _MIN_DEPTH)
    size_a, size_b = np.square(depth_a / cameras.focal[a]), np.square(depth_b / cameras.focal[b])
    share = (size_b / np.maximum(size_a + size_b, 1e-30))[..., None]
    foot_a = cameras.centres[a] + depth_a[..., None] * rays[:, a]
    foot_b = cameras.centres[b] + depth_b[..., None] * rays[:, b]
    return share * foot_a + (1 - share) * foot_b, valid


def refine(P: Array, points: Array, pixels: Array, weights: Array, inlier_px: float) -> Array:
    """Move points [N, 3] to the nearest minimum of Σ weight · ρ(r), with Tukey's ρ that is flat beyond ``inlier_px``.

    Levenberg–Marquardt with iteratively reweighted residuals. NaN points stay NaN.
    """
    live = np.flatnonzero(np.isfinite(points).all(1))
    refined = points.copy()
    current, damping = points[live], np.full(len(live), 1e-4)
    cost, normal, gradient = _linearise(P, current, pixels[live], weights[live], inlier_px)
    for _ in range(_REFINEMENT_STEPS):
        if not len(live):
            break
        diagonal = np.maximum(np.einsum("nii->ni", normal), 1e-12)
        damped = normal + np.eye(3) * (damping[:, None] * diagonal + 1e-12 * diagonal.max(1, keepdims=True))[:, None]
        step = np.linalg.solve(damped, gradient[..., None])[..., 0]
        proposal = current - step
        new = _linearise(P, proposal, pixels[live], weights[live], inlier_px)
        better = new[0] <= cost
        current = np.where(better[:, None], proposal, current)
        gained = cost - new[0] > 1e-12 * cost
        cost = np.where(better, new[0], cost)
        normal = np.where(better[:, None, None], new[1], normal)
        gradient = np.where(better[:, None], new[2], gradient)
        damping = np.where(better, damping * 0.1, damping * 10)
        refined[live] = current
        going = gained | ~better & (damping < 1e6)
        live, current, damping, cost = live[going], current[going], damping[going], cost[going]
        normal, gradient = normal[going], gradient[going]
    return refined


def _linearise(P: Array, points: Array, pixels: Array, weights: Array, inlier_px: float) -> tuple[Array, Array, Array]:
    """Cost [N], normal matrices [N, 3, 3] and half gradients [N, 3] of the Tukey loss at points [N, 3]."""
    J, residual, depth = reprojection(P, points, pixels)
    share = np.einsum("nvk,nvk->nv", residual, residual) / inlier_px**2
    close = np.where(depth > _MIN_DEPTH, np.maximum(1 - share, 0), 0)
    cost = (weights * (1 - close**3)).sum(1)
    scaled = J * (weights * close**2)[..., None, None]
    count, rows = len(points), 2 * len(P)
    transposed = scaled.reshape(count, rows, 3).transpose(0, 2, 1)
    gradient = transposed @ residual.reshape(count, rows, 1)
    return cost, transposed @ J.reshape(count, rows, 3), gradient[..., 0]


def reprojection(P: Array, points: Array, pixels: Array) -> tuple[Array, Array, Array]:
    """Jacobian [N, V, 2, 3], residual [N, V, 2] and depth [N, V] of points [N, 3] against pixels [N, V, 2]."""
    image = points @ P[:, :, :3].reshape(-1, 3).T + P[:, :, 3].reshape(-1)
    image = image.reshape(len(points), len(P), 3)
    depth = image[..., 2]
    inverse = (1 / np.where(depth > _MIN_DEPTH, depth, 1))[..., None]
    seen = image[..., :2] * inverse
    J = (P[:, :2, :3] - seen[..., None] * P[:, None, 2, :3]) * inverse[..., None]
    return J, seen - pixels, depth

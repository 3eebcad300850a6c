"""The recursive pictorial structure model: the pose whose joints have evidence and whose limbs have their lengths.

Qiu, Wang, Wang, Wang & Zeng, Cross View Fusion for 3D Human Pose Estimation, ICCV 2019, section 5: a coarse grid
around the person, then ever finer cells, and on each level max-sum dynamic programming over a tree of limbs. Where this
differs: a level keeps several cells a joint, ranked by max-marginals, so that a coarse mistake can be mended; what one
view alone shows is no evidence in space; place and limb lengths come from triangulated joints, not from the truth; the
cells choose the peaks, and the peaks' own places then measure the joints.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from models.consensus import Cameras, refine, squared_residuals
from models.geometry import project
from models.heatmap import decode, decode_near
from models.limbs import Limb, limb_tree, median_limb_lengths
from models.skeletons import Skeleton
from models.triangulation import INLIER_PX, triangulate

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Kernel = Callable[[Array], tuple[list[NDArray[np.intp]], list[Array]]]

_CUBE_M = 2.0
_GRID = 16
_FINEST_M = 0.01  # what is finer than this the peaks measure
_CANDIDATES = 768  # cells a joint that the coarse grid keeps: those without evidence in any view cannot win
_BEAM = 48  # cells a joint that every level hands to the next
_BROKEN_LIMB = 1.0  # costs as much as all the evidence a joint can have
_TOLERANCE_M, _TOLERANCE = 0.05, 0.15  # a limb's length may be off by this much, plus this share of it
_FEW = 4  # joints that place a person
_WIDE_CUBE_M = 3.0
_LOOSE_PX = 8.0  # heatmap pixels that the middle of a person's peaks may differ by between views
_REACH_M = 1.25  # joints farther from the middle of the person than this do not place the cube
_EVIDENCE = 0.1  # of a joint's strongest peak; two views must show it
_FAINTEST = 0.02
_PEAK_REACH_PX = 2.5  # how far from a cell's projection a view's peak may lie to measure the joint
_MOST_MOVED_M = 0.15


def pictorial(
    P: Array,
    heatmaps: NDArray[np.floating],
    skeleton: Skeleton,
    initial: Array,
    *,
    limb_lengths: Array | None = None,
    metres_per_unit: float = 1.0,
    own: NDArray[np.floating] | None = None,
) -> Array:
    """One pose [J, 3] from heatmaps [V, J, h, w] and projections P [V, 3, 4], world → heatmap pixels.

    ``initial`` [J, 3], robustly triangulated joints with NaN for missing ones, says where the person is; with hardly
    any, the middle of the views' peaks does, and the pose is NaN where not even these meet. ``limb_lengths`` [L] in
    world units, NaN where unknown, goes with ``skeleton.limbs``; None takes them from ``initial``. ``own`` are the
    views' heatmaps before they were fused, by which the joints found are measured. A joint that fewer than two views
    show at the place found is NaN.
    """
    place = _cube(P, heatmaps, initial, skeleton, metres_per_unit)
    if place is None:
        return np.full((len(skeleton.joints), 3), np.nan)
    centre, side = place
    if limb_lengths is None:
        seen = np.isfinite(initial.sum(axis=1)).astype(np.float64)
        limb_lengths = median_limb_lengths(initial[None], seen[None], skeleton, metres_per_unit=metres_per_unit)
    limbs = limb_tree(skeleton, limb_lengths, _TOLERANCE_M / metres_per_unit, _TOLERANCE)
    cells, belief = _coarse(P, heatmaps, limbs, centre, side)
    cell = side / _GRID
    while cell * metres_per_unit > _FINEST_M:
        cell /= 2
        cells = _children(_best(cells, belief), cell)
        belief = _max_marginals(cells, _agreed(_evidence(P, heatmaps, cells, _cubic)), limbs, cell)
    pose = cells[np.arange(len(cells)), belief.argmax(1)]
    pose = np.where(_shown(P, heatmaps, pose)[:, None], pose, np.nan)
    return _measured(P, heatmaps if own is None else own, pose, metres_per_unit)


def _cube(
    P: Array, heatmaps: NDArray[np.floating], initial: Array, skeleton: Skeleton, metres_per_unit: float
) -> tuple[Array, float] | None:
    """Centre and side of the cube that holds the person, in world units; None if nothing says where it is.

    Where hips are far from the other joints, these count; where there are hardly any joints, the views' peaks do.
    """
    seen: Mask = np.isfinite(initial.sum(axis=1))
    if seen.sum() < _FEW:
        middle = _middle(P, heatmaps)
        if middle is not None:
            return middle, _WIDE_CUBE_M / metres_per_unit
    if not seen.any():
        return None
    hips = seen & np.array([("hip" in name) or name in ("pelvis", "body_centre") for name in skeleton.joints])
    usual = np.median(initial[seen], axis=0)
    middle = np.median(initial[hips], axis=0) if hips.any() else usual
    middle = middle if np.linalg.norm(middle - usual) * metres_per_unit < _REACH_M else usual
    near = initial[seen & (np.linalg.norm(initial - middle, axis=1) * metres_per_unit < _REACH_M)]
    if not len(near):
        return None
    low, high = near.min(0), near.max(0)
    return (low + high) / 2, max(_CUBE_M / metres_per_unit, 1.1 * float((high - low).max()))


def _middle(P: Array, heatmaps: NDArray[np.floating]) -> Array | None:
    """Where the medians of the views' peaks meet [3]: few peaks stand outside the person, whichever joints they are."""
    peaks, heights = decode(heatmaps)
    sure = heights > _FAINTEST
    enough = sure.sum(1) >= _FEW
    medians = [np.median(peaks[v, sure[v]], axis=0) if enough[v] else np.full(2, np.nan) for v in range(len(peaks))]
    point = triangulate(P, np.stack(medians)[None], inlier_px=_LOOSE_PX, sigma_px=_LOOSE_PX / 4).points[0]
    return point if np.isfinite(point).all() else None


def _coarse(
    P: Array, heatmaps: NDArray[np.floating], limbs: list[Limb], centre: Array, side: float
) -> tuple[Array, Array]:
    """Cells [J, C, 3] of the grid with the most evidence, and their max-marginals [J, C].

    A cell is wider than a pixel, so it is credited with the best of the pixels around its centre.
    """
    cell = side / _GRID
    axis = (np.arange(_GRID) - (_GRID - 1) / 2) * cell
    grid = centre + np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    unary = _agreed(_evidence(P, maximum_filter(heatmaps, size=(1, 1, 3, 3)), grid[None], _linear))
    kept = np.argpartition(-unary, _CANDIDATES, axis=1)[:, :_CANDIDATES]
    cells, unary = grid[kept], np.take_along_axis(unary, kept, axis=1)
    return cells, _max_marginals(cells, unary, limbs, cell)


def _best(cells: Array, belief: Array) -> Array:
    """The strongest cells [J, B, 3]."""
    kept = np.argpartition(-belief, _BEAM, axis=1)[:, :_BEAM]
    return np.take_along_axis(cells, kept[..., None], axis=1)


def _children(cells: Array, cell: float) -> Array:
    """The 2×2×2 children [J, 8·B, 3], of side ``cell``, of each of cells [J, B, 3]."""
    corners = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return (cells[:, :, None] + cell * corners).reshape(len(cells), -1, 3)


def _max_marginals(cells: Array, unary: Array, limbs: list[Limb], cell: float) -> Array:
    """For every cell the score of the best pose that uses it [J, C]: evidence ``unary`` [J, C] less broken limbs.

    Max-sum over the tree, messages up from the leaves and down from the roots. Two cell centres may be a cell farther
    apart, or nearer, than the joints in the cells.
    """
    belief = unary.copy()
    cost = [
        _BROKEN_LIMB * (np.abs(_distances(cells[x.parent], cells[x.child]) - x.length) > x.tolerance + cell)
        for x in limbs
    ]
    upward = []
    for limb, broken in zip(reversed(limbs), reversed(cost), strict=True):
        upward.append((belief[limb.child] - broken).max(1))
        belief[limb.parent] += upward[-1]
    for limb, broken, message in zip(limbs, cost, reversed(upward), strict=True):
        belief[limb.child] += ((belief[limb.parent] - message)[:, None] - broken).max(0)
    return belief


def _distances(a: Array, b: Array) -> Array:
    """Distances [n, m] between points a [n, 3] and b [m, 3]."""
    origin = a.mean(0)
    a, b = a - origin, b - origin
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(squared, 0))


def _evidence(P: Array, heatmaps: NDArray[np.floating], points: Array, kernel: Kernel) -> Array:
    """Heatmaps [V, J, h, w] where points [J or 1, C, 3] project → [V, J, C]; 0 outside the view and behind it."""
    image = np.einsum("vik,jck->vijc", P[:, :, :3], points) + P[:, :, 3, None, None]
    depth = image[:, 2]
    in_front = depth > 1e-9 * np.abs(depth).max()
    x, y = image[:, :2].swapaxes(0, 1) / np.where(in_front, depth, 1)
    height, width = heatmaps.shape[2:]
    inside = in_front & (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    columns, across = kernel(np.where(inside, x, 0))
    rows, down = kernel(np.where(inside, y, 0))
    first = np.arange(heatmaps.shape[0] * heatmaps.shape[1]).reshape(*heatmaps.shape[:2], 1) * (height * width)
    flat, value = heatmaps.ravel(), np.zeros(np.broadcast_shapes(first.shape, x.shape))
    for row, by_row in zip(rows, down, strict=True):
        start = first + np.clip(row, 0, height - 1) * width
        for column, by_column in zip(columns, across, strict=True):
            value += flat[start + np.clip(column, 0, width - 1)] * (by_row * by_column)
    return np.where(inside, value, 0)


def _agreed(evidence: Array) -> Array:
    """The mean over views [V, ...] without the strongest: one bright peak lies on a whole ray, and settles nothing."""
    rest: Array = (evidence.sum(0) - evidence.max(0)) / max(len(evidence) - 1, 1)
    return rest


def _linear(x: Array) -> tuple[list[NDArray[np.intp]], list[Array]]:
    """The two neighbours of x and their weights."""
    left = np.floor(x).astype(np.intp)
    return [left, left + 1], [1 - (x - left), x - left]


def _cubic(x: Array) -> tuple[list[NDArray[np.intp]], list[Array]]:
    """The four neighbours of x and their weights (Catmull–Rom): unlike a linear one, its peaks lie between pixels."""
    left = np.floor(x).astype(np.intp)
    f = x - left
    weights = [
        ((2 - f) * f - 1) * f / 2,
        ((3 * f - 5) * f * f + 2) / 2,
        ((4 - 3 * f) * f + 1) * f / 2,
        (f - 1) * f * f / 2,
    ]
    return [left + i for i in (-1, 0, 1, 2)], weights


def _shown(P: Array, heatmaps: NDArray[np.floating], pose: Array) -> NDArray[np.bool_]:
    """Whether at least two views show each joint [J] where the pose has it."""
    value = _evidence(P, heatmaps, pose[:, None], _linear)[..., 0]
    peak = np.maximum(_EVIDENCE * heatmaps.max((0, 2, 3)), _FAINTEST)
    shown: NDArray[np.bool_] = (value >= peak).sum(0) >= 2
    return shown


def _measured(P: Array, heatmaps: NDArray[np.floating], pose: Array, metres_per_unit: float) -> Array:
    """The pose [J, 3] with every joint where the peaks beside it meet, if that is near: cells only chose the peaks."""
    cameras = Cameras.normalised(np.asarray(P, np.float64))
    places = project(P, pose).swapaxes(0, 1)
    visible: Mask = np.asarray(np.isfinite(places).all(-1))
    peaks, heights = decode_near(heatmaps, np.where(visible[..., None], places, 0), _PEAK_REACH_PX)
    seen = visible & (heights > _FAINTEST) & (np.abs(peaks - places).max(-1) <= _PEAK_REACH_PX + 1)
    pixels, weights = np.where(seen[..., None], peaks, 0).swapaxes(0, 1), np.where(seen, heights, 0).T
    found = refine(cameras.P, (pose - cameras.origin) / cameras.scale, pixels, weights, INLIER_PX)
    used = (weights > 0) & (squared_residuals(cameras.P, found, pixels) < INLIER_PX**2)
    moved = cameras.to_world(found)
    near = np.linalg.norm(moved - pose, axis=1) * metres_per_unit < _MOST_MOVED_M
    return np.where((near & (used.sum(1) >= 2))[:, None], moved, pose)

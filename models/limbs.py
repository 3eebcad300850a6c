"""The limbs of a body: their lengths, and the tree in which they hang together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.skeletons import Skeleton

Array = NDArray[np.float64]

_LIMB_M = (0.02, 1.0)  # a limb outside this range is no limb


@dataclass(frozen=True)
class Limb:
    """An edge of the tree; ``length``, and the ``tolerance`` by which it may be off, in world units."""

    parent: int
    child: int
    length: float
    tolerance: float


def median_limb_lengths(points: Array, confidence: Array, skeleton: Skeleton, *, metres_per_unit: float = 1.0) -> Array:
    """Lengths [L] of ``skeleton.limbs`` in poses [F, J, 3], weighted by confidence [F, J]; NaN where never seen.

    Weighted medians over the frames and over both sides of the body; lengths that no person has are left out.
    """
    limbs = np.array(skeleton.limbs)
    length = np.linalg.norm(points[:, limbs[:, 0]] - points[:, limbs[:, 1]], axis=2)
    weight = np.minimum(confidence[:, limbs[:, 0]], confidence[:, limbs[:, 1]])
    low, high = (bound / metres_per_unit for bound in _LIMB_M)
    weight = np.where((length > low) & (length < high), weight, 0)
    mirrored = np.sort(np.array(skeleton.flip)[limbs], axis=1)
    same = (np.sort(limbs, axis=1)[:, None] == mirrored[None]).all(2) | np.eye(len(limbs), dtype=bool)
    return np.array([_weighted_median(length[:, group].ravel(), weight[:, group].ravel()) for group in same])


def _weighted_median(values: Array, weights: Array) -> float:
    """The mean of the lower and upper weighted medians; NaN with no weight."""
    values, weights = values[weights > 0], weights[weights > 0]
    if not len(values):
        return float("nan")
    order = np.argsort(values)
    below = np.cumsum(weights[order]) / weights.sum()
    middle = np.searchsorted(below, [0.5 - 1e-9, 0.5 + 1e-9])
    return float(values[order][np.minimum(middle, len(values) - 1)].mean())


def limb_tree(skeleton: Skeleton, lengths: Array, slack: float, share: float) -> list[Limb]:
    """Limbs of known length that span the joints without a cycle, parents before children.

    Breadth first from the best connected joint of every component; ``lengths`` [L] go with ``skeleton.limbs``, and a
    limb of unknown length (NaN) constrains nothing. The tolerance is ``slack`` in world units and a ``share`` of the
    length.
    """
    known = [(a, b, float(x)) for (a, b), x in zip(skeleton.limbs, lengths, strict=True) if np.isfinite(x)]
    degree = np.bincount([j for a, b, _ in known for j in (a, b)], minlength=len(skeleton.joints))
    reached: set[int] = set()
    tree: list[Limb] = []
    for root in np.argsort(-degree, kind="stable").tolist():
        frontier = [] if root in reached else [root]
        reached.add(root)
        while frontier:
            joint = frontier.pop(0)
            for child, length in _neighbours(known, joint):
                if child not in reached:
                    reached.add(child)
                    frontier.append(child)
                    tree.append(Limb(joint, child, length, slack + share * length))
    return tree


def _neighbours(known: Sequence[tuple[int, int, float]], joint: int) -> list[tuple[int, float]]:
    return [(b if a == joint else a, length) for a, b, length in known if joint in (a, b)]

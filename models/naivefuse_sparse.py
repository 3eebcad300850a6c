"""Dense weights of which most are to be zero: l1, or L2,1 by groups, by accelerated proximal gradient steps (FISTA).

    minimise  ½ ‖Y − Σ_b X_b W_bᵀ‖² + λ Ω(W),    Ω = Σ |W|   or   Ω = Σ_{i,b} ‖W_b[i, :]‖₂

A group of L2,1 is all weights with which one target pixel i listens to one source view b: a pixel stops listening to
a view as a whole. After Beck and Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm" (2009), with the restart
of O'Donoghue and Candès (2015). Source pixels that are never above the background, and target pixels that never lack
anything, take no part. λ is searched, from large to small, on some of the target's pixels, which do not depend on each
other, by the error on other samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.naivefuse_samples import Array32, Problem

STRENGTHS = (0.4, 0.2, 0.1, 0.05, 0.025, 0.0125)  # λ in units of the least λ that makes all weights zero
_ACTIVE = 0.05  # heights, of a heatmap or of what it lacks, below this are background
_SEARCHED, _TOGETHER = 256, 128
_TOLERANCE, _STEPS = 0.02, 300
_SEARCH_STEPS = 80

Shrink = Callable[[Array32, float], Array32]


@dataclass(frozen=True)
class _Active:
    """What takes part: ``sources`` B × [D_b] and ``targets`` [T], indices of pixels."""

    sources: list[NDArray[np.intp]]
    targets: NDArray[np.intp]

    def design(self, problem: Problem) -> Array32:
        """The sources' active pixels side by side [S, D]."""
        columns = [seen[:, index] for seen, index in zip(problem.seen, self.sources, strict=True)]
        joined = np.concatenate(columns, axis=1)
        joined[joined < _ACTIVE] = 0
        return joined

    @property
    def bounds(self) -> NDArray[np.intp]:
        """Where each source's columns begin and end in the design [B + 1]."""
        return np.cumsum([0, *(len(index) for index in self.sources)])


def fit_sparse(
    fit: Problem,
    choose: Problem,
    regularisation: str,
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda _share: None,
) -> tuple[list[Any], float]:
    """The weights W_b of every source, sparse [4096, 4096], and λ in units of ``STRENGTHS``.

    ``progress`` is told often, and may raise to stop: one target view alone can take minutes.
    """
    active = _Active(
        [np.flatnonzero((seen > _ACTIVE).any(0)) for seen in fit.seen],
        np.flatnonzero((np.abs(fit.lacking) > _ACTIVE).any(0)),
    )
    design, wanted = active.design(fit), fit.lacking[:, active.targets]
    shrink: Shrink = shrink_singly if regularisation == "l1" else shrink_groups(active.bounds)
    slope: Array32 = design.T @ wanted
    largest = least_zeroing(slope, shrink)
    some = rng.permutation(len(active.targets))[:_SEARCHED]
    others = active.design(choose), choose.lacking[:, active.targets[some]]
    strength = _best_strength(design, wanted[:, some], others, shrink, largest)
    weights = np.zeros((design.shape[1], len(active.targets)), np.float32)
    parts = _alike(slope)
    for done, part in enumerate(parts):
        progress(done / len(parts))
        weights[:, part] = minimise(design, wanted[:, part], shrink, strength * largest)
    blocks = zip(pairwise(active.bounds), active.sources, strict=True)
    pixels = fit.lacking.shape[1]
    return [_spread(weights[start:stop], lit, active.targets, pixels) for (start, stop), lit in blocks], strength


def minimise(
    design: Array32, wanted: Array32, shrink: Shrink, strength: float,
    start: Array32 | None = None, *, tolerance: float = _TOLERANCE, steps: int = _STEPS,
) -> Array32:  # fmt: skip
    """W [D, T] that minimises ½ ‖Y − XW‖² + λΩ(W), until its optimality conditions hold to ``tolerance``·λ."""
    weights = np.zeros((design.shape[1], wanted.shape[1]), np.float32) if start is None else start
    ahead, momentum = weights, 1.0
    step = 1 / max(_squared_norm(design), 1e-12)
    for _ in range(steps):
        slope: Array32 = design.T @ (design @ ahead - wanted)
        moved = shrink(ahead - np.float32(step) * slope, step * strength)
        change = ahead - moved
        if np.abs(change).max(initial=0) <= tolerance * strength * step:
            return moved
        if np.vdot(change, moved - weights) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + np.float32((momentum - 1) / following) * (moved - weights)
        weights, momentum = moved, following
    return weights


def shrink_singly(weights: Array32, by: float) -> Array32:
    """The proximal map of l1: every weight moves towards zero."""
    return weights - np.clip(weights, -by, by)


def shrink_groups(bounds: Sequence[int] | NDArray[np.intp]) -> Shrink:
    """The proximal map of L2,1 on W [D, T]; a group is a column's rows between two neighbouring ``bounds``."""

    def shrink(weights: Array32, by: float) -> Array32:
        result = np.empty_like(weights)
        for start, stop in pairwise(bounds):
            group = weights[start:stop]
            length = np.sqrt(np.einsum("dt,dt->t", group, group))
            result[start:stop] = group * np.maximum(0, 1 - by / np.maximum(length, 1e-20)).astype(np.float32)
        return result

    return shrink


def least_zeroing(slope: Array32, shrink: Shrink) -> float:
    """The least λ for which W = 0 is the minimum, by bisection on the slope XᵀY at zero."""
    low, high = 0.0, float(np.sqrt(np.square(slope).sum(0).max(initial=0))) + 1e-12
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if shrink(slope, middle).any() else (low, middle)
    return high


def _best_strength(
    design: Array32, wanted: Array32, others: tuple[Array32, Array32], shrink: Shrink, largest: float
) -> float:
    """The λ with the least error on other samples, or where there are none the middle one."""
    if not len(others[0]):
        return STRENGTHS[len(STRENGTHS) // 2]
    weights, errors = None, []
    for strength in STRENGTHS:
        weights = minimise(design, wanted, shrink, strength * largest, weights, steps=_SEARCH_STEPS)
        errors.append(float(np.square(others[0] @ weights - others[1]).mean()))
    return STRENGTHS[int(np.argmin(errors))]


def _alike(slope: Array32) -> list[NDArray[np.intp]]:
    """Target pixels in small groups that take about as many steps: it saves steps, and fits the processor's cache."""
    order = np.argsort(-np.square(slope).sum(0))
    return np.array_split(order, max(1, -(-len(order) // _TOGETHER)))


def _squared_norm(design: Array32) -> float:
    """The largest eigenvalue of XᵀX, a little above it: power iteration comes from below."""
    vector = np.ones(len(design), np.float32)
    value = 0.0
    for _ in range(50):
        vector = design @ (design.T @ vector)
        value = float(np.linalg.norm(vector))
        vector /= max(value, 1e-12)
    return 1.02 * value


def _spread(block: Array32, sources: NDArray[np.intp], targets: NDArray[np.intp], pixels: int) -> Any:
    """Weights [D_b, T] of active pixels as sparse [4096, 4096], a row a target pixel."""
    rows, columns = np.nonzero(block.T)
    return sparse.csr_array((block.T[rows, columns], (targets[rows], sources[columns])), shape=(pixels, pixels))

"""NaiveFuse: a dense ω of every pair, learned from nothing but the rig's own labelled frames.

The baseline of MetaFuse (CVPR 2020), after Qiu et al., "Cross View Fusion for 3D Human Pose Estimation" (ICCV 2019):
no ω_base, no epipolar geometry, 16.8 million weights a pair. For every target view a, over samples s (a joint of a
frame, labelled inside a) with heatmaps h and a Gaussian g at the label:

    minimise  Σ_s ‖h_a(s) + Σ_b W_ab h_b(s) − g_a(s)‖² + λ Ω(W)

Ω is one of the paper's: nothing, the squares (models.naivefuse_ridge), the sizes, or the lengths of groups
(models.naivefuse_sparse). What differs from the paper: the minimum itself instead of some steps of Adam, and a fixed
backbone. λ is the one with the least error on frames of the capture that were not fitted to. With a ``start``, the
weights are sought near it instead of near zero (models.naivefuse_meta). Trained with a thousand frames this is the
paper's upper bound, NaiveFuse-full. W is stored as the factors of its truncated singular value decomposition, since
dense weights of four cameras are 0.8 GB.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.errors import InsufficientLabels
from models.fanout import Arrays, Spread, in_turn
from models.labelled import LabelledFrames
from models.learning import Learned, Task
from models.naivefuse_factors import Product, stacked, truncate
from models.naivefuse_ridge import NONE, RIDGES, best_ridge, dual
from models.naivefuse_samples import Problem, Samples, thinned
from models.naivefuse_sparse import fit_sparse
from models.pair_weights import PLAIN_SUM, LowRank

RANK = 96  # beyond it nothing is gained that was measured, not even by sparse weights
MOST_SAMPLES = {"l2": 17_000, "none": 6_000, "l1": 1_700, "l21": 1_700}
"""A capture with more has its frames thinned: time grows with the cube of the number, or memory with its square."""
_MOST_TO_CHOOSE_BY = 4_000
_START_RIDGES = (*RIDGES, 100.0, 1000.0)


@dataclass(frozen=True)
class Factors:
    """W of all pairs: ``left`` [P, 4096, r], ``right`` [P, r, 4096]; ``strengths`` [V], the λ of each target view."""

    left: NDArray[np.float16]
    right: NDArray[np.float16]
    strengths: tuple[float, ...]


def learn(task: Task, start: LowRank | None = None) -> Learned:
    """The method: no camera takes part in fusing; those sent triangulate."""
    task.progress("finetune", 0.02)
    pairs, regularisation = task.rig.pairs, task.options.regularisation
    used = thinned(task.parts.fit, MOST_SAMPLES[regularisation])
    factors = fit(
        used, thinned(task.parts.choose, _MOST_TO_CHOOSE_BY), pairs, task.rng,
        regularisation=regularisation, start=start, spread=task.spread,
        progress=lambda share: task.progress("finetune", 0.02 + 0.66 * share),
    )  # fmt: skip
    lineage = {
        "regularisation": regularisation,
        "strengths": list(factors.strengths),
        "rank": factors.right.shape[1],
        "frames_fitted": len(used.frames),
        "frames_left_out_as_too_many": len(task.parts.fit.frames) - len(used.frames),
    }
    return Learned(task.rig, PLAIN_SUM, np.ones(len(pairs)), left=factors.left, right=factors.right, lineage=lineage)


def fit(
    frames: LabelledFrames,
    choose: LabelledFrames,
    pairs: Sequence[tuple[int, int]],
    rng: np.random.Generator,
    *,
    regularisation: str = "l2",
    start: LowRank | None = None,
    spread: Spread = in_turn,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> Factors:
    """The factors of W for (target, source) ``pairs``; raises InsufficientLabels where a view has no sample.

    ``start``, for l2 only, are the weights of every pair that W is drawn to. A target view is a piece of work, with
    random numbers of its own.
    """
    targets = sorted({a for a, _ in pairs})
    sources = {target: [b for a, b in pairs if a == target] for target in targets}
    seen = _Seen(Samples.of(frames), Samples.of(choose), regularisation, start)
    works = [
        partial(_fit_target, seen, target, sources[target], own, partial(_within, progress, step, len(targets)))
        for step, (target, own) in enumerate(zip(targets, rng.spawn(len(targets)), strict=True))
    ]
    found = dict(zip(targets, spread("target", works)(), strict=True))
    rows = [(found[target], sources[target].index(source)) for target, source in pairs]
    left, right = stacked([(result["left"][row], result["right"][row]) for result, row in rows])
    return Factors(left, right, tuple(float(found[target]["strength"][0]) for target in targets))


@dataclass(frozen=True)
class _Seen:
    """What all target views are fitted from."""

    samples: Samples
    others: Samples
    regularisation: str
    start: LowRank | None


def _fit_target(
    seen: _Seen, target: int, sources: Sequence[int], rng: np.random.Generator, report: Callable[[float], None]
) -> Arrays:
    """The factors of W of one target view, a row for each source."""
    problem = seen.samples.problem(target, sources)
    if not len(problem):
        raise InsufficientLabels("No joint is labelled inside this view and another one.", at=f"cameras[{target}]")
    other = seen.others.problem(target, sources)
    weights, strength = _weights(problem, other, seen.regularisation, seen.start, rng, progress=report)
    left, right = stacked([truncate(terms, RANK, rng) for terms in weights])
    report(1.0)
    return {"left": left, "right": right, "strength": np.array([strength])}


def _within(progress: Callable[[float], None], step: int, steps: int, share: float) -> None:
    """Tell the progress of the whole by that of one step."""
    progress((step + share) / steps)


def _weights(
    problem: Problem, choose: Problem, regularisation: str, start: LowRank | None, rng: np.random.Generator,
    *, progress: Callable[[float], None],
) -> tuple[list[list[Product]], float]:  # fmt: skip
    """The weights of every source, each as a sum of products, and λ."""
    if regularisation in ("l1", "l21"):
        sparse, strength = fit_sparse(problem, choose, regularisation, rng, progress)
        identity = np.eye(problem.lacking.shape[1], dtype=np.float32)
        return [[Product(weights, identity)] for weights in sparse], strength
    known: list[Product] = []
    if start is not None:
        problem, choose = problem.beyond(start), choose.beyond(start)
        known = [Product(start.lookup(), start.rows())]
    ridges = RIDGES if start is None else _START_RIDGES
    ridge = NONE if regularisation == "none" else best_ridge(problem, choose, ridges, rng)
    alpha = dual(problem, ridge)
    return [[*known, Product(alpha.T, seen)] for seen in problem.seen], ridge

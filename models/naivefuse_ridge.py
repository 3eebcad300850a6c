"""Dense weights by least squares: with a charge for their squares, or the smallest ones that fit where there is none.

    minimise  ‖Y − Σ_b X_b W_bᵀ‖² + λ Σ_b ‖W_b‖²

over samples X_b [S, 4096] and what the target lacks Y [S, 4096]. The minimum lies in the span of the samples,
``W_b = αᵀ X_b`` with ``(K + λI) α = Y`` and K their inner products [S, S], so that one Cholesky factorisation of K
solves for all 4096 target pixels. λ is the one with the least error on other samples, estimated in random directions of
the target's pixels. Without regularisation λ is next to nothing, which gives the smallest of the weights that fit best:
where gradient descent from zero ends.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from models.naivefuse_samples import Array32, Problem

RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # λ in units of the samples' mean squared length
NONE = 1e-8  # the same, where nothing is charged: above the rounding of doubles, far below any signal
_SEARCHED = 4_000  # samples that λ is searched on; its best value does not depend on their number
_DIRECTIONS = 256


def best_ridge(fit: Problem, choose: Problem, ridges: Sequence[float], rng: np.random.Generator) -> float:
    """The λ of ``ridges`` with the least squared error on other samples, or where there are none the middle one."""
    if not len(choose):
        return ridges[len(ridges) // 2]
    fit = _some(fit, rng)
    choose = _some(choose, rng)
    sketch = rng.standard_normal((fit.lacking.shape[1], _DIRECTIONS)).astype(np.float32)
    wanted, truth = fit.lacking @ sketch, choose.lacking @ sketch
    gram, cross = fit.products(), fit.products(choose)
    errors = [np.square(cross @ _solve(gram.copy(), wanted, ridge) - truth).mean() for ridge in ridges]
    return ridges[int(np.argmin(errors))]


def dual(fit: Problem, ridge: float) -> Array32:
    """α [S, 4096] of the weights ``W_b = αᵀ X_b``."""
    dtype = np.float64 if ridge < min(RIDGES) else np.float32
    return _solve(fit.products(dtype=dtype), fit.lacking, ridge).astype(np.float32)


def _solve(gram: NDArray[np.floating], wanted: Array32, ridge: float) -> NDArray[np.floating]:
    """(K + λI)⁻¹ Y; K is overwritten."""
    diagonal = np.einsum("ii->i", gram)
    diagonal += ridge * max(float(diagonal.mean()), 1e-6)
    factor = cho_factor(gram.T, lower=True, overwrite_a=True, check_finite=False)
    solved: NDArray[np.floating] = cho_solve(factor, wanted.astype(gram.dtype, copy=False), check_finite=False)
    return solved


def _some(problem: Problem, rng: np.random.Generator) -> Problem:
    if len(problem) <= _SEARCHED:
        return problem
    return problem.subset(np.sort(rng.permutation(len(problem))[:_SEARCHED]))

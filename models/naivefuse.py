"""NaiveFuse: a dense ω of every pair, learned from nothing but the rig's own labelled frames.

The baseline of MetaFuse (CVPR 2020), after Qiu et al., "Cross View Fusion for 3D Human Pose Estimation" (ICCV 2019):
no ω_base, no epipolar geometry, 16.8 million weights a pair. For every target view a, over samples s (a joint of a
frame, labelled inside a) with heatmaps h and a Gaussian g at the label:

    minimise  Σ_s ‖h_a(s) + Σ_b W_ab h_b(s) − g_a(s)‖² + λ Σ_b ‖W_ab‖²

What differs from the paper: its l2-regularised variant, and the exact minimum instead of some steps of Adam. The
minimum lies in the span of the samples, ``W_ab = αᵀ X_b``, so it takes a linear system as large as their number, whose
cost grows with the cube of it. λ is the one with the least error on frames of the capture that were not fitted to. The
backbone stays fixed. W is stored as the factors of its truncated singular value decomposition, since dense weights of
four cameras are 0.8 GB.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from models.affine import HALF, PIXELS
from models.errors import InsufficientLabels
from models.fusion import FLOOR
from models.heatmap import HEATMAP_SIZE, render
from models.labelled import LabelledFrames

Array32 = NDArray[np.float32]

TARGET_SIGMA_PX = 2.0
RANK = 96
RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # λ in units of the samples' mean squared length
_SPARE = 32  # directions beyond the rank that the subspace iteration carries
_ITERATIONS = 2


@dataclass(frozen=True)
class Factors:
    """W of all pairs: ``left`` [P, 4096, r] and ``right`` [P, r, 4096]; ``ridges`` [V], the λ of each target view."""

    left: NDArray[np.float16]
    right: NDArray[np.float16]
    ridges: tuple[float, ...]


@dataclass(frozen=True)
class _Samples:
    """``heatmaps`` [V, S, 4096], ``targets`` [V, S, 4096] Gaussians at the labels, ``inside`` [V, S] the view."""

    heatmaps: Array32
    targets: Array32
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, frames: LabelledFrames) -> "_Samples":
        views = frames.heatmaps.shape[1]
        joints = frames.joints_view.swapaxes(0, 1).reshape(views, -1, 2)
        inside = np.abs(joints - HALF).max(-1) < HEATMAP_SIZE / 2
        heatmaps = frames.heatmaps.swapaxes(0, 1).reshape(views, -1, PIXELS)
        return cls(heatmaps, render(joints, TARGET_SIGMA_PX).reshape(views, -1, PIXELS), inside)

    def problem(self, target: int, sources: Sequence[int]) -> tuple[list[Array32], Array32]:
        """What the sources see [S, 4096] of the samples of a target view, and what it lacks [S, 4096].

        A source counts in the samples that are labelled inside it too.
        """
        kept = self.inside[target] & self.inside[list(sources)].any(0)
        seen = [np.where(self.heatmaps[b][kept] > FLOOR, self.heatmaps[b][kept], 0) for b in sources]
        seen = [x * self.inside[b][kept, None] for b, x in zip(sources, seen, strict=True)]
        return seen, self.targets[target][kept] - self.heatmaps[target][kept]


def learn(
    fit: LabelledFrames,
    choose: LabelledFrames,
    pairs: Sequence[tuple[int, int]],
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda _fraction: None,
) -> Factors:
    """The factors of W for (target, source) ``pairs``; raises InsufficientLabels where a view has no sample."""
    samples, others = _Samples.of(fit), _Samples.of(choose)
    factors: dict[tuple[int, int], tuple[Array32, Array32]] = {}
    ridges = []
    targets = sorted({a for a, _ in pairs})
    for step, target in enumerate(targets):
        sources = [b for a, b in pairs if a == target]
        seen, lacking = samples.problem(target, sources)
        if not len(lacking):
            raise InsufficientLabels("No joint is labelled inside this view and another one.", at=f"cameras[{target}]")
        dual, ridge = _best_dual(seen, lacking, *others.problem(target, sources))
        ridges.append(ridge)
        for source, x in zip(sources, seen, strict=True):
            factors[target, source] = truncate(dual, x, RANK, rng)
        progress((step + 1) / len(targets))
    rank = max(len(right) for _, right in factors.values())
    left = np.stack([_padded(factors[pair][0], rank, 1) for pair in pairs]).astype(np.float16)
    right = np.stack([_padded(factors[pair][1], rank, 0) for pair in pairs]).astype(np.float16)
    return Factors(left, right, tuple(ridges))


def ridge_duals(gram: NDArray[np.floating], residual: Array32, ridges: Sequence[float]) -> list[Array32]:
    """α [S, 4096] = (K + λI)⁻¹ Y for each λ, from one eigendecomposition of K [S, S]."""
    values, vectors = eigh(gram)
    rotated = vectors.T @ residual
    return [(vectors @ (rotated / (np.maximum(values, 0) + ridge)[:, None])).astype(np.float32) for ridge in ridges]


def _best_dual(
    seen: list[Array32], lacking: Array32, seen_others: list[Array32], lacking_others: Array32
) -> tuple[Array32, float]:
    """α of the λ with the least squared error on the other samples, or where there are none the middle λ; and λ."""
    gram = sum((x @ x.T for x in seen), np.zeros((len(lacking), len(lacking)), np.float32))
    scale = max(float(np.trace(gram)) / len(gram), 1e-6)
    duals = ridge_duals(gram, lacking, [scale * ridge for ridge in RIDGES])
    if not len(lacking_others):
        middle = len(RIDGES) // 2
        return duals[middle], RIDGES[middle]
    cross = sum((y @ x.T for x, y in zip(seen, seen_others, strict=True)), np.zeros((1, 1), np.float32))
    errors = [float(np.square(cross @ dual - lacking_others).mean()) for dual in duals]
    best = int(np.argmin(errors))
    return duals[best], RIDGES[best]


def truncate(dual: Array32, seen: Array32, rank: int, rng: np.random.Generator) -> tuple[Array32, Array32]:
    """W = αᵀ X to ``rank``: factors [4096, r] and [r, 4096] by a block subspace iteration, W itself never formed."""
    probe = rng.standard_normal((seen.shape[1], min(rank + _SPARE, len(seen)))).astype(np.float32)
    for _ in range(_ITERATIONS):
        probe = np.linalg.qr(dual.T @ (seen @ probe))[0]
        probe = np.linalg.qr(seen.T @ (dual @ probe))[0]
    left, strength, right = np.linalg.svd(dual.T @ (seen @ probe), full_matrices=False)
    root = np.sqrt(strength[:rank])
    return left[:, :rank] * root, root[:, None] * (right[:rank] @ probe.T)


def _padded(factor: Array32, rank: int, axis: int) -> Array32:
    missing = [(0, 0), (0, 0)]
    missing[axis] = (0, rank - factor.shape[axis])
    return np.pad(factor, missing)

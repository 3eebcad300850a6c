"""Detection rate and 3D error of a benchmark, joint by joint, with bootstrap intervals over frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GROUPS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
AVERAGE = "average"
_RESAMPLES, _LEVEL = 1000, 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95% interval; all NaN where nothing was counted."""

    value: float
    low: float
    high: float

    def document(self, digits: int = 2) -> list[float | None]:
        """[value, low, high] for JSON, which has no NaN."""
        return [round(v, digits) if np.isfinite(v) else None for v in (self.value, self.low, self.high)]


@dataclass(frozen=True)
class Outcome:
    """What a method did on F frames, J joints.

    ``hits`` and ``counts`` [F, J]: detected and labelled joints over the views. ``errors_mm`` of a way to triangulate
    [F, J]: NaN where no truth or no estimate. ``truths`` [F, J]: joints with a truth in space.
    """

    joints: tuple[str, ...]
    hits: NDArray[np.intp]
    counts: NDArray[np.intp]
    truths: NDArray[np.bool_]
    errors_mm: dict[str, Array]

    def jdr(self, seed: int) -> dict[str, Estimate]:
        """Joint detection rate in percent, by group and over all joints."""
        wanted = {group: self._of(group) for group in GROUPS} | {AVERAGE: np.arange(len(self.joints))}
        return {
            name: ratio(100.0 * self.hits[:, index].sum(1), self.counts[:, index].sum(1).astype(float), seed)
            for name, index in wanted.items()
        }

    def mpjpe(self, triangulation: str, seed: int) -> Estimate:
        """Mean distance from the truth in millimetres over the joints that were estimated."""
        errors = self.errors_mm[triangulation]
        return ratio(np.nansum(errors, axis=1), np.isfinite(errors).sum(1).astype(float), seed)

    def missing(self, triangulation: str) -> float:
        """Percentage of joints with a truth that were not estimated."""
        lacking = self.truths & ~np.isfinite(self.errors_mm[triangulation])
        return float(100 * lacking.sum() / max(int(self.truths.sum()), 1))

    def _of(self, group: str) -> NDArray[np.intp]:
        return np.array([i for i, name in enumerate(self.joints) if name.endswith(group)], np.intp)


def ratio(amounts: Array, counts: Array, seed: int) -> Estimate:
    """Σ amounts / Σ counts over frames [F], with a percentile bootstrap interval (Efron 1979) over whole frames."""
    if not counts.sum():
        return Estimate(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    frames, draws = len(counts), []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(frames, size=frames)
        total = counts[drawn].sum()
        if total:
            draws.append(amounts[drawn].sum() / total)
    tail = 50 * (1 - _LEVEL)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Estimate(float(amounts.sum() / counts.sum()), float(low), float(high))

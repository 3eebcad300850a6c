"""Bootstrap intervals (Efron, 1979): whole takes are resampled, since the frames of a take are alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 4_000
Row = dict[str, Any]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """``value [low, high]`` with one digit."""
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


def ratio(rows: Sequence[Row], above: str, below: str, scale: float = 1.0, *, take: int) -> Interval:
    """Sum of ``above`` over sum of ``below`` over all frames of all rows, times ``scale``."""
    return _interval(scale * _draws(rows, above, take) / _draws(rows, below, take))


def compared(rows: Sequence[Row], others: Sequence[Row], above: str, below: str, *, take: int) -> Interval:
    """The ratio of ``rows`` minus that of ``others``, paired: the same takes are drawn for both."""
    ours, theirs = (_draws(r, above, take) / _draws(r, below, take) for r in (rows, others))
    return _interval(ours - theirs)


def fewer(rows: Sequence[Row], others: Sequence[Row], *, take: int) -> Interval:
    """By which share ``rows`` miss fewer joints (1 − JDR) than ``others``, paired."""
    ours, theirs = (1 - _draws(r, "found", take) / _draws(r, "labelled", take) for r in (rows, others))
    return _interval(1 - ours / theirs)


def _draws(rows: Sequence[Row], name: str, take: int) -> NDArray[np.float64]:
    """Sums [1 + DRAWS] over the takes of all rows: first as they are, then resampled, the same for every name."""
    rng = np.random.default_rng(0)
    total = np.zeros(1 + DRAWS)
    for row in rows:
        takes = np.asarray(row[name], float).reshape(-1, take).sum(1)
        drawn = rng.integers(len(takes), size=(DRAWS, len(takes)))
        total += np.concatenate([[takes.sum()], takes[drawn].sum(1)])
    return total


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return Interval(float(values[0]), float(low), float(high))

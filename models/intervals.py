"""How sure a mean over frames is: a paired block bootstrap, seeded and without loops.

Neighbouring frames are nearly the same picture, so whole blocks of them are drawn again, circularly (Politis and
Romano, 1992). Every system is weighed by the same draws, so what makes frames hard for all of them cancels in a
difference. The interval is the bootstrap's standard error times Student's t for the number of blocks, since percentiles
of few blocks are too narrow (Hesterberg, The American Statistician 69, 2015).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Array = NDArray[np.float64]
DRAWS = 1_000
LEVEL = 0.95
MIN_BLOCKS = 2


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval that holds the true value with the level's probability; infinite where unknown.

    ``chance`` is how likely the true value is above zero.
    """

    value: float
    low: float
    high: float
    chance: float = 0.5

    @property
    def half(self) -> float:
        """Half its width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Draws:
    """How often each frame is drawn, [draws, F], and the number of blocks that are drawn."""

    weights: Array
    blocks: float

    @classmethod
    def of(cls, frames: int, *, seed: int = 0, draws: int = DRAWS) -> "Draws":
        """Draws of ``frames`` frames in blocks of neighbours, about the cube root of the frames long."""
        length = block_length(frames)
        count = -(-frames // length)
        starts = np.random.default_rng(seed).integers(frames, size=(draws, count))
        drawn = (starts[..., None] + np.arange(length)).reshape(draws, -1)[:, :frames] % frames
        flat = (drawn + frames * np.arange(draws)[:, None]).ravel()
        weights = np.bincount(flat, minlength=draws * frames).reshape(draws, frames).astype(np.float64)
        return cls(weights, frames / length)

    def mean(self, values: NDArray[np.floating], level: float = LEVEL) -> Interval:
        """The mean of what is finite in ``values`` [F, ...], with its interval.

        Of a difference of two systems' values this is the paired comparison; what one of them lacks is left out.
        """
        flat = np.asarray(values, np.float64).reshape(len(values), -1)
        finite = np.isfinite(flat)
        total, count = np.where(finite, flat, 0).sum(1), finite.sum(1)
        if not count.any():
            return Interval(float("nan"), -np.inf, np.inf)
        value = float(total.sum() / count.sum())
        below = self.weights @ count
        means = (self.weights @ total)[below > 0] / below[below > 0]
        if self.blocks < MIN_BLOCKS or len(means) < 2:
            return Interval(value, -np.inf, np.inf)
        freedom = self.blocks - 1
        error = float(np.sqrt(self.blocks / freedom) * means.std())
        reach = error * float(student.ppf((1 + level) / 2, freedom))
        chance = float(student.cdf(value / error, freedom)) if error > 0 else (1 + np.sign(value)) / 2
        return Interval(value, value - reach, value + reach, float(chance))


def block_length(frames: int) -> int:
    """Frames of a block."""
    return max(1, round(frames ** (1 / 3)))

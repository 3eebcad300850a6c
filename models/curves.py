"""Learning curves: what a method tells of its loss while it learns; it tells few points and learns the same without.

``loss`` is of frames that are learned from, the mean over the steps since the last point. ``held_back`` is the same
loss of frames held back from learning, those the method chooses by. The frames held out for the verdict have no curve:
they decide nothing else, so nobody looks at them while learning goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np

LOSS, HELD_BACK = "loss", "held_back"
_POINTS = 30  # of the loss, which costs nothing
_CHECKS = 8  # of the frames held back, which must be fused for it
_DIGITS = 5


@dataclass(frozen=True)
class Point:
    """The value of a curve after ``step`` steps; what one ``phase`` of learning lowers is not what another one does."""

    phase: str
    curve: str
    step: int
    value: float


Observe = Callable[[Point], None]


class Curves:
    """Both curves of a phase of ``steps`` steps; without an observer nothing is told, nor due."""

    def __init__(self, observe: Observe | None, phase: str, steps: int, *, after: int = 0) -> None:
        self._observe, self._phase, self._after, self._steps = observe, phase, after, steps
        self._sum: SupportsFloat = 0.0
        self._count = 0

    def learned(self, step: int, loss: SupportsFloat) -> None:
        """The loss of step number ``step`` of this phase, from 1 on; a tensor is read only where a point is due."""
        if self._observe is None:
            return
        self._sum, self._count = self._sum + loss, self._count + 1  # type: ignore[operator]
        if self._on(step, _POINTS):
            self._tell(LOSS, step, float(self._sum) / self._count)
            self._sum, self._count = 0.0, 0

    def due(self, step: int) -> bool:
        """Whether the frames held back are to be measured after ``step`` steps of this phase; 0 is before the first."""
        return self._observe is not None and self._steps > 0 and self._on(step, _CHECKS)

    def held_back(self, step: int, loss: float) -> None:
        """The loss of the frames held back after ``step`` steps of this phase."""
        self._tell(HELD_BACK, step, loss)

    def _on(self, step: int, points: int) -> bool:
        return step % -(-self._steps // points) == 0 or step == self._steps

    def _tell(self, curve: str, step: int, value: float) -> None:
        if self._observe is not None and np.isfinite(value):
            self._observe(Point(self._phase, curve, self._after + step, float(f"{value:.{_DIGITS}g}")))


UNSEEN = Curves(None, "", 0)
"""Where nobody looks."""

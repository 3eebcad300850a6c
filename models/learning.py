"""What every adaptation method is given, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.curves import Observe
from models.fanout import Spread, in_turn
from models.labelled import LabelledFrames
from models.methods import AdaptationOptions
from models.pair_weights import OmegaBase
from models.rig import Rig

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Parts:
    """The frames to learn from, those to choose by, and those to judge on."""

    fit: LabelledFrames
    choose: LabelledFrames
    held_out: LabelledFrames

    @property
    def seen(self) -> LabelledFrames:
        """All frames that a method may look at: those to learn from, then those to choose by."""
        a, b = self.fit, self.choose
        return LabelledFrames(
            a.frames + b.frames,
            np.concatenate([a.heatmaps, b.heatmaps]),
            np.concatenate([a.joints_view, b.joints_view]),
            np.concatenate([a.visibility, b.visibility]),
        )


@dataclass(frozen=True)
class Task:
    """What every method is given.

    ``spread`` takes pieces of work that may be done elsewhere; ``observe`` takes what the method tells of its learning
    curves, None where nobody looks.
    """

    rig: Rig
    parts: Parts
    options: AdaptationOptions
    rng: np.random.Generator
    progress: Progress
    device: str
    spread: Spread = in_turn
    observe: Observe | None = None


@dataclass(frozen=True)
class Learned:
    """What a method answers: the weights of all pairs, and the cameras to triangulate with.

    ``may_project`` lets the frames to choose by decide whether 2D joints are projections of the joints in space, and
    whether the limbs' lengths take part in finding those.
    """

    cameras: Rig
    omega: OmegaBase
    gains: NDArray[np.floating]
    theta: NDArray[np.float32] | None = None
    left: NDArray[np.float16] | None = None
    right: NDArray[np.float16] | None = None
    may_project: bool = False
    lineage: Mapping[str, Any] = field(default_factory=dict)

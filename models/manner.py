"""How an engine reads what it has fused."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Manner:
    """How an engine reads fused heatmaps.

    ``measure``: fusion chooses the peak and each view's own heatmap measures it; the fused peak of a view that saw
    nothing is an echo of the others, and must not be counted as one more witness. ``project``: the 2D joints are the
    projections of the joint in space, where there is one, and the fused peaks elsewhere. ``limbs`` [L], lengths in the
    rig's unit and the order of the skeleton's: robust triangulation places all joints of a body together
    (models.body). ``doubt`` scales the measurements' covariance (models.uncertainty). Of views
    ``alone``, by index, which fusing only harms, the own heatmaps' peaks are the 2D joints; in space they count not.
    """

    measure: bool = False
    project: bool = False
    limbs: Array | None = None
    doubt: float = 1.0
    alone: tuple[int, ...] = ()

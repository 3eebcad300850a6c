"""How near is agreement: a closer look makes heatmaps more exact, but not the cameras."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.triangulation import Triangulation, triangulate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tolerance:
    """In whose pixels views must agree: those of ``projections`` [V, 3, 4], to which ``crops`` [V, 3, 3] lead."""

    projections: Array
    crops: Array

    @property
    def zoom(self) -> Array:
        """How many pixels that come span one of these [V]."""
        return 1 / np.sqrt(np.linalg.det(self.crops[:, :2, :2]))

    def triangulate(self, points: Array, trust: Array, method: str) -> Triangulation:
        """Points [N, V, 2] triangulated there; the residuals are in the pixels that came."""
        there = np.einsum("vij,nvj->nvi", self.crops[:, :2, :2], points) + self.crops[:, :2, 2]
        found = triangulate(self.projections, there, trust, method=method)
        return replace(found, residual_px=found.residual_px * self.zoom)

"""What is fused with: ω_base with its generic numbers, and the weights of a pair as a look-up in a few rows."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.errors import InvalidOptions
from models.views import HEATMAP_SIZE

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
Pixels = NDArray[np.intp]
Lookup = sparse.csr_array | Array32


@dataclass(frozen=True)
class OmegaBase:
    """The generic fusion map and the generic numbers learned with it.

    ``values`` [64, 64]: rows across the line, columns along it, the same under a half turn, since a line has no
    direction. ``gains`` (g₁, g₂) and ``sharpness`` κ belong to the two rounds; with ``sharpness`` 0 there is only one.
    ``pooling`` is how a target pixel takes what its weights see: equation (1)'s "sum", or their "max".
    """

    values: Array32
    gains: tuple[float, float]
    sharpness: float
    digest: str = ""
    pooling: str = "sum"


PLAIN_SUM = OmegaBase(np.zeros((HEATMAP_SIZE, HEATMAP_SIZE), np.float32), (1.0, 0.0), 0.0)
"""No ω_base: the weights of every pair are its own and are summed in one round, as they are."""


class PairWeights(Protocol):
    """The weights W of a pair, target by source pixels [4096, 4096], as a look-up in the rows of a few knots."""

    @property
    def size(self) -> int:
        """The number of knots L."""

    def rows(self, pixels: Pixels | None = None) -> Array32:
        """The weights of the source's ``pixels`` [N], or of all 4096, at the knots [L, N]."""

    def lookup(self) -> Lookup:
        """The linear look-up [4096, L] of target pixels in the knots."""

    def carried(self, target: Array, source: Array, /) -> "PairWeights":
        """The weights between crops of the two views; ``target`` and ``source`` [3, 3] map crop to view pixels."""


@dataclass(frozen=True)
class LowRank:
    """W = left @ right, with ``left`` [4096, L] and ``right`` [L, 4096]."""

    left: NDArray[np.floating]
    right: NDArray[np.floating]

    @property
    def size(self) -> int:
        """The rank, L."""
        return len(self.right)

    def rows(self, pixels: Pixels | None = None) -> Array32:
        """The right factor."""
        return (self.right if pixels is None else self.right[:, pixels]).astype(np.float32)

    def lookup(self) -> Array32:
        """The left factor."""
        return self.left.astype(np.float32)

    def carried(self, _target: Array, _source: Array, /) -> PairWeights:
        """Raises InvalidOptions: weights that are no function of a line belong to the pixels they were learned at."""
        raise InvalidOptions(
            "This checkpoint holds dense weights, which belong to the pixels of the rig's fixed views "
            "and cannot follow a person: use the rig's views.",
            at="view",
        )

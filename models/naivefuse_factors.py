"""Dense weights in few numbers: the factors of their truncated singular value decomposition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array32 = NDArray[np.float32]

_SPARE = 32  # directions beyond the rank that the subspace iteration carries
_ITERATIONS = 2


@dataclass(frozen=True)
class Product:
    """A term ``left @ right`` of a matrix too large to write down; either may be a sparse array."""

    left: Any
    right: Any

    def times(self, columns: Array32) -> Array32:
        """Its product with columns [N, k]."""
        result: Array32 = self.left @ (self.right @ columns)
        return result

    def adjoint_times(self, columns: Array32) -> Array32:
        """Its transpose's product with columns [M, k]."""
        result: Array32 = self.right.T @ (self.left.T @ columns)
        return result


def truncate(terms: Sequence[Product], rank: int, rng: np.random.Generator) -> tuple[Array32, Array32]:
    """The sum of ``terms`` to ``rank``: factors [M, r] and [r, N] by a block subspace iteration."""
    largest = sum(term.right.shape[0] for term in terms)
    rows, columns = terms[0].left.shape[0], terms[0].right.shape[1]
    size = min(rank + _SPARE, largest, rows, columns)
    probe = rng.standard_normal((columns, size)).astype(np.float32)
    for _ in range(_ITERATIONS):
        probe = np.linalg.qr(_sum(term.times(probe) for term in terms))[0]
        probe = np.linalg.qr(_sum(term.adjoint_times(probe) for term in terms))[0]
    left, strength, right = np.linalg.svd(_sum(term.times(probe) for term in terms), full_matrices=False)
    root = np.sqrt(strength[:rank])
    return left[:, :rank] * root, root[:, None] * (right[:rank] @ probe.T)


def stacked(
    factors: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Factors of several matrices, filled up with zeros to the largest rank: [P, M, r] and [P, r, N]."""
    rank = max(len(right) for _, right in factors)
    left = np.stack([np.pad(a, ((0, 0), (0, rank - a.shape[1]))) for a, _ in factors])
    right = np.stack([np.pad(b, ((0, rank - len(b)), (0, 0))) for _, b in factors])
    return left.astype(np.float16), right.astype(np.float16)


def _sum(terms: Any) -> Array32:
    total: Array32 = sum(terms)
    return total

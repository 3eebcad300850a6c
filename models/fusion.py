"""Fusing the heatmaps of all views: equation (1) of MetaFuse (CVPR 2020), in a form that is fast.

``x_i ← x_i + Σ_j ω_{j,i}·x_j``, with the same weights for every joint and, by equation (2), ``ω_i = T_{θ_i}(ω_base)``
(models.affine). All epipolar lines of a pair pass through the epipole: a pencil with one degree of freedom. So instead
of 4096 sets of weights a pair needs 160, at knots of the pencil, and a linear look-up between them
(models.pencil). A dense ω that was learned whole takes the same form when its rank is low.

Fusing takes two rounds. A confident mistake of one view lays a ridge over all others; the first round finds out which
peaks other views agree with, and in the second each source counts only as far as the first round believed it:

    f¹_a = h_a + g₁ Σ_b γ_ab W_ab h_b,    f_a = h_a + g₂ Σ_b γ_ab W_ab (s_b ⊙ h_b),    s_b = (f¹_b / max f¹_b)^κ
"""

from collections.abc import Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.affine import PIXELS
from models.pair_weights import Lookup, LowRank, OmegaBase, PairWeights, Pixels
from models.pencil import PencilWeights, pencil_of

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
_TABLE_BYTES = 64 << 20  # tables of up to this size are kept in single precision: twice the memory, a third less time
FLOOR = 0.02  # a source's heatmap below this is background and is not summed


class Fuser:
    """Fuses the heatmaps of a rig: built once from the weights of all pairs, then applied to any number of frames.

    ``pairs`` are (target, source) view indices; ``weights`` are θ [P, 64, 64, 2, 3] for ω_base, or the weights of every
    pair; ``gains`` γ [P]. With ``lasting`` false no tables are made ahead: each ``fuse`` makes the weights of those
    source pixels that its frames light up, which is less work where the views change from frame to frame.
    """

    def __init__(
        self,
        omega: OmegaBase,
        pairs: Sequence[tuple[int, int]],
        weights: Array32 | Sequence[PairWeights],
        gains: NDArray[np.floating],
        views: int,
        *,
        lasting: bool = True,
    ) -> None:
        self.omega, self.views, self.pairs = omega, views, tuple(pairs)
        self._weights: list[PairWeights] = (
            [PencilWeights(omega.values, pencil_of(field)) for field in weights]
            if isinstance(weights, np.ndarray)
            else list(weights)
        )
        self._incoming: list[list[int]] = [[p for p, (a, _) in enumerate(pairs) if a == v] for v in range(views)]
        self._outgoing: list[list[int]] = [[p for p, (_, b) in enumerate(pairs) if b == v] for v in range(views)]
        self._gains = np.asarray(gains, np.float32)
        precise = 4 * PIXELS * sum(weights.size for weights in self._weights) <= _TABLE_BYTES
        tables = (self._table(v).astype(np.float32 if precise else np.float16) for v in range(views) if lasting)
        self._tables = [np.ascontiguousarray(table) for table in tables]  # rows are what is taken out

    @property
    def follows(self) -> bool:
        """Whether it can be carried to crops: dense weights cannot."""
        return not any(isinstance(weights, LowRank) for weights in self._weights)

    def weighing(self, gains: NDArray[np.floating]) -> "Fuser":
        """The same weights with other gains γ [P]; the tables are shared."""
        other = copy(self)
        other.__dict__.pop("_lookups", None)
        other._gains = np.asarray(gains, np.float32)
        return other

    def carried(self, crops: Array) -> "Fuser":
        """The same fusion between crops of the views, ``crops`` [V, 3, 3] mapping crop to view pixels; for one use."""
        pairs = zip(self._weights, self.pairs, strict=True)
        weights = [pair.carried(crops[target], crops[source]) for pair, (target, source) in pairs]
        return Fuser(self.omega, self.pairs, weights, self._gains, self.views, lasting=False)

    def _table(self, source: int, pixels: Pixels | None = None) -> Array32:
        """Weights of all knots of all targets of a source's ``pixels`` [N, knots], a row a source pixel."""
        knots = [self._weights[p].rows(pixels) for p in self._outgoing[source]]
        count = PIXELS if pixels is None else len(pixels)
        return np.concatenate(knots).T if knots else np.zeros((count, 0), np.float32)

    def _lit(self, flat: Array32) -> list[tuple[Pixels, Array32]]:
        """Per source, the pixels that any heatmap lights up [N] and their rows of the table [N, knots]."""
        lit = [np.flatnonzero((source > FLOOR).any(0)) for source in flat]
        if not self._tables:
            return [(pixels, self._table(source, pixels)) for source, pixels in enumerate(lit)]
        rows = ((pixels, table[pixels]) for pixels, table in zip(lit, self._tables, strict=True))
        return [(pixels, table.astype(np.float32, copy=False)) for pixels, table in rows]

    @property
    def nbytes(self) -> int:
        """Memory that it holds: tables, look-ups, and what the weights of the pairs are made from."""
        held = {id(array): array.nbytes for array in _arrays([self._tables, self._lookups, self._weights, self.omega])}
        return sum(held.values())

    @cached_property
    def _lookups(self) -> list[Lookup]:
        """Per target, the matrix [4096, knots of all its sources] that reads the knots and applies the gains."""
        return [_side_by_side([self._weights[p].lookup() * self._gains[p] for p in pairs]) for pairs in self._incoming]

    def fuse(self, heatmaps: NDArray[np.floating]) -> Array32:
        """Equation (1) in two rounds: heatmaps [F, V, J, 64, 64] → fused [F, V, J, 64, 64]."""
        flat = self._by_view(heatmaps)
        lit = self._lit(flat)  # belief only dims: the second round lights up no other pixels
        first, second = self.omega.gains
        fused = flat + first * self._evidence(flat, lit)
        if self.omega.sharpness:
            fused = flat + second * self._evidence(flat * self._belief(fused), lit)
        return self._by_frame(fused, heatmaps.shape)

    def _by_view(self, heatmaps: NDArray[np.floating]) -> Array32:
        return np.asarray(heatmaps, np.float32).swapaxes(0, 1).reshape(self.views, -1, PIXELS)

    @staticmethod
    def _by_frame(flat: Array32, shape: tuple[int, ...]) -> Array32:
        return np.ascontiguousarray(flat.reshape(shape[1], shape[0], *shape[2:]).swapaxes(0, 1))

    def _belief(self, fused: Array32) -> Array32:
        peak = np.maximum(fused.max(-1, keepdims=True), 1e-6)
        return np.power(np.maximum(fused, 0) / peak, np.float32(self.omega.sharpness))

    def _evidence(self, flat: Array32, lit: list[tuple[Pixels, Array32]]) -> Array32:
        """Σ_b γ_ab W_ab x_b for every target [V, S, 4096]."""
        knots = dict(self._knot_sums(flat, lit))
        total = np.zeros_like(flat)
        for target, incoming in enumerate(self._incoming):
            if incoming:
                total[target] = (self._lookups[target] @ np.concatenate([knots[p] for p in incoming])).T
        return total

    def _knot_sums(self, flat: Array32, lit: list[tuple[Pixels, Array32]]) -> Iterator[tuple[int, Array32]]:
        """For every pair, the weighted sum of its source at each knot of its pencil [knots, S]."""
        for source, outgoing in enumerate(self._outgoing):
            pixels, table = lit[source]
            seen = flat[source][:, pixels]
            sums = self._pooled(table, np.where(seen > FLOOR, seen, 0))
            stop = 0
            for pair in outgoing:
                start, stop = stop, stop + self._weights[pair].size
                yield pair, sums[start:stop]

    def _pooled(self, table: Array32, seen: Array32) -> Array32:
        """What each knot takes [knots, S] of source pixels [S, A], by its weights for them, ``table`` [A, knots]."""
        if self.omega.pooling == "sum":
            return table.T @ seen.T
        highest = np.zeros((table.shape[1], len(seen)), np.float32)
        for s, sample in enumerate(seen):
            pixels = np.flatnonzero(sample)
            highest[:, s] = (table[pixels] * sample[pixels, None]).max(0, initial=0)
        return highest

    def contributions(self, heatmaps: NDArray[np.floating]) -> Array32:
        """What each source view adds to each target [F, target, source, J, 64, 64]; zero from a view to itself.

        These are the terms of the last round, g₂ γ_ab W_ab (s_b ⊙ h_b), or g₁ γ_ab W_ab h_b where there is only one:
        ``heatmaps + contributions(heatmaps).sum(2)`` is what ``fuse`` answers. Joints do not mix, so one joint's
        heatmaps may come alone.
        """
        flat, (gain, second) = self._by_view(heatmaps), self.omega.gains
        lit = self._lit(flat)
        if self.omega.sharpness:
            flat = flat * self._belief(flat + gain * self._evidence(flat, lit))
            gain = second
        frames, views, joints, *size = heatmaps.shape
        added = np.zeros((views, views, *flat.shape[1:]), np.float32)
        for pair, sums in self._knot_sums(flat, lit):
            target, source = self.pairs[pair]
            added[target, source] = gain * self._gains[pair] * (self._weights[pair].lookup() @ sums).T
        return np.moveaxis(added.reshape(views, views, frames, joints, *size), 2, 0)


def _side_by_side(lookups: Sequence[Lookup]) -> Lookup:
    """Look-ups [4096, L] in one matrix, sparse where all of them are."""
    thin: list[Any] = [sparse.csr_array((PIXELS, 0), dtype=np.float32)]
    thin += [lookup for lookup in lookups if not isinstance(lookup, np.ndarray)]
    if len(thin) == len(lookups) + 1:
        return sparse.csr_array(sparse.hstack(thin))
    dense: list[Array32] = [lookup if isinstance(lookup, np.ndarray) else lookup.toarray() for lookup in lookups]
    return np.hstack(dense)


def _arrays(held: Any) -> Iterator[NDArray[Any]]:
    """All arrays in lists, in the fields of objects, and in sparse matrices."""
    if isinstance(held, np.ndarray):
        yield held
    elif isinstance(held, list):
        for each in held:
            yield from _arrays(each)
    elif hasattr(held, "__dict__"):
        for each in vars(held).values():
            yield from _arrays(each)

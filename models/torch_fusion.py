"""models.fusion.Fuser in torch, differentiable, and the loss that fusing is learned with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn.functional import grid_sample

from models import geometry
from models.affine import NORMALISED
from models.fusion import FLOOR
from models.heatmap import HEATMAP_SIZE
from models.pencil import Pencil, pencil_of_pair
from models.rig import Rig

NEAR_PX, FAR_PX, SOFTNESS = 1.6, 2.5, 0.08
Rounds = tuple[Tensor, Tensor, Tensor]


def detection_loss(fused: Tensor, joints: Tensor) -> Tensor:
    """σ((highest peak far from the truth − highest peak near it)/softness), averaged over the labelled joints.

    fused [..., 4096]; joints [..., 2] in heatmap pixels, NaN where there is no label or it lies outside the view.
    """
    steps = torch.arange(HEATMAP_SIZE, dtype=joints.dtype, device=joints.device)
    apart = (steps - joints.nan_to_num(1e4)[..., None]).square()  # [..., (x, y), 64]
    squared = (apart[..., 1, :, None] + apart[..., 0, None, :]).flatten(-2)
    far = fused.masked_fill(squared < FAR_PX**2, -torch.inf).amax(-1)
    near = fused.masked_fill(squared > NEAR_PX**2, -torch.inf).amax(-1)
    labelled = joints.isfinite().all(-1) & near.isfinite()
    return torch.sigmoid((far - near)[labelled] / SOFTNESS).mean()


class _Lookup(torch.autograd.Function):
    """A sparse matrix times a dense one, with the transposed matrix at hand for the way back."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ dense

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ gradients[0], None, None


class _Read(torch.autograd.Function):
    """Equation (2); the places to read at, larger than what is read, are found again on the way back."""

    @staticmethod
    def forward(ctx: Any, omega: Tensor, theta: Tensor, places: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(omega, theta, places)
        ctx.width = width
        return _read(omega, theta, places, width)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        omega, theta, places = ctx.saved_tensors
        with torch.enable_grad():
            leaf = omega.detach().requires_grad_()
            read = _read(leaf, theta, places, ctx.width)
        return torch.autograd.grad(read, leaf, gradients[0])[0], None, None, None


@dataclass(frozen=True)
class KnotWeights:
    """Equation (2) at the knots of all pairs: per source [knots of its pairs, A], for its source ``pixels`` [A]."""

    rows: Sequence[Tensor]
    pixels: Sequence[Tensor]


def pencils_of(rig: Rig) -> list[Pencil]:
    """The pencils of all pairs of a rig, calibrated."""
    P = rig.projections()
    return [pencil_of_pair(geometry.fundamental_matrix(P[a], P[b])) for a, b in rig.pairs]


class PencilFusion:
    """Equations (1) and (2) of a rig's calibrated pairs, differentiable in ω_base, the gains and the sharpness."""

    def __init__(self, rig: Rig, device: torch.device | str = "cpu", pencils: Sequence[Pencil] | None = None) -> None:
        self.pairs, self.views = rig.pairs, len(rig.cameras)
        pencils = pencils_of(rig) if pencils is None else pencils
        self._knots = [torch.from_numpy(np.ascontiguousarray(p.knots)).to(device) for p in pencils]
        self._incoming = [[p for p, (a, _) in enumerate(self.pairs) if a == v] for v in range(self.views)]
        self._outgoing = [[p for p, (_, b) in enumerate(self.pairs) if b == v] for v in range(self.views)]
        lookups = [
            sparse.csr_array(sparse.hstack([pencils[p].lookup() for p in incoming])) if incoming else None
            for incoming in self._incoming
        ]
        self._lookups = [
            None if m is None else (_sparse(m, device), _sparse(sparse.csr_array(m.T), device)) for m in lookups
        ]
        self._places = torch.from_numpy(NORMALISED).float().to(device)

    def active(self, heatmaps: Tensor, level: float) -> list[Tensor]:
        """The pixels of each view [A] that any of the heatmaps [V, S, 4096] has above ``level``."""
        return [torch.nonzero((view > level).any(0))[:, 0] for view in heatmaps]

    def weights(self, omega: Tensor, width: float = 1.0, pixels: Sequence[Tensor] | None = None) -> KnotWeights:
        """Equation (2) at the knots of all pairs, the ridges ``width`` times as wide, for all or some source pixels."""
        every = torch.arange(len(self._places), device=omega.device)
        chosen = [every] * self.views if pixels is None else pixels
        rows = []
        for view, outgoing in enumerate(self._outgoing):
            theta = torch.cat([self._knots[p] for p in outgoing]) if outgoing else self._places.new_zeros(0, 2, 3)
            places = self._places[chosen[view]]
            rows.append(_Read.apply(omega, theta, places, width))  # type: ignore[no-untyped-call]
        return KnotWeights(rows, chosen)

    def fuse(self, weights: KnotWeights, heatmaps: Tensor, gains: Tensor, rounds: Rounds) -> Tensor:
        """Equation (1) in two rounds; heatmaps [V, S, 4096], gains [P], rounds (g₁, g₂, κ)."""
        first, second, sharpness = rounds
        maps = heatmaps.transpose(1, 2)
        seen = [maps[v].index_select(0, pixels) for v, pixels in enumerate(weights.pixels)]
        believed = []
        for view, evidence in enumerate(self._evidence(weights, seen, gains)):
            fused = maps[view] + first * evidence
            peak = fused.amax(0).clamp_min(1e-6)
            positive = fused.index_select(0, weights.pixels[view]).clamp_min(1e-6)
            believed.append(seen[view] * (positive / peak) ** sharpness)
        evidence = torch.stack(self._evidence(weights, believed, gains))
        return (maps + second * evidence).transpose(1, 2)

    def evidence(self, weights: KnotWeights, heatmaps: Tensor, gains: Tensor) -> Tensor:
        """What the other views say, Σ_b γ_ab W_ab h_b [V, S, 4096]: the sum of one round, before its gain."""
        seen = [view.T.index_select(0, pixels) for view, pixels in zip(heatmaps, weights.pixels, strict=True)]
        return torch.stack(self._evidence(weights, seen, gains)).transpose(1, 2)

    def _evidence(self, weights: KnotWeights, seen: Sequence[Tensor], gains: Tensor) -> list[Tensor]:
        """Σ_b γ_ab W_ab x_b of every target [4096, S], for what is seen at the sources' pixels [A, S]."""
        knots: dict[int, Tensor] = {}
        for view, outgoing in enumerate(self._outgoing):
            floored = torch.where(seen[view] > FLOOR, seen[view], torch.zeros_like(seen[view]))
            sums = weights.rows[view] @ floored
            parts = torch.split(sums, [len(self._knots[p]) for p in outgoing])
            knots |= {p: gains[p] * part for p, part in zip(outgoing, parts, strict=True)}
        total = []
        for incoming, lookup in zip(self._incoming, self._lookups, strict=True):
            if lookup is None:
                total.append(seen[0].new_zeros(len(self._places), seen[0].shape[1]))
            else:
                total.append(_Lookup.apply(torch.cat([knots[p] for p in incoming]), *lookup))  # type: ignore[no-untyped-call]
        return total


def _read(omega: Tensor, theta: Tensor, places: Tensor, width: float) -> Tensor:
    """ω_base [64, 64] read at θ [L, 2, 3] of places [A, 2]: [L, A]."""
    stretch = torch.tensor([1.0, 1 / width], device=omega.device)
    grid = torch.einsum("lrc,jc->ljr", theta[..., :2], places) + theta[:, None, :, 2]
    return grid_sample(omega[None, None], (grid * stretch)[None], align_corners=True)[0, 0]


def _sparse(matrix: sparse.csr_array, device: torch.device | str) -> Tensor:
    """A SciPy matrix as a coalesced torch one."""
    entries = matrix.tocoo()
    index = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    values = torch.from_numpy(entries.data.astype(np.float32))
    built = torch.sparse_coo_tensor(index, values, entries.shape, check_invariants=False, is_coalesced=True)
    return built.to(device)

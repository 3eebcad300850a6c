"""models.fusion.Fuser in torch, differentiable, and the loss that fusing is learned with."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from models import geometry
from models.affine import HALF, NORMALISED, theta_of_pair
from models.fusion import FLOOR
from models.pencil import pencil_of
from models.rig import Rig

NEAR_PX, FAR_PX, SOFTNESS = 1.6, 2.5, 0.08
_PLACES = torch.from_numpy(np.ascontiguousarray(NORMALISED * HALF + HALF)).float()


def detection_loss(fused: Tensor, joints: Tensor) -> Tensor:
    """σ((highest peak far from the truth − highest peak near it)/softness), averaged over the labelled joints.

    fused [..., 4096]; joints [..., 2] in heatmap pixels, NaN where there is no label or it lies outside the view.
    """
    squared = (_PLACES.to(joints) - joints.nan_to_num(1e4)[..., None, :]).square().sum(-1)
    far = fused.masked_fill(squared < FAR_PX**2, -torch.inf).amax(-1)
    near = fused.masked_fill(squared > NEAR_PX**2, -torch.inf).amax(-1)
    labelled = joints.isfinite().all(-1) & near.isfinite()
    return torch.sigmoid((far - near)[labelled] / SOFTNESS).mean()


class PencilFusion:
    """Equations (1) and (2) of a rig's calibrated pairs, differentiable in ω_base, the gains and the sharpness."""

    def __init__(self, rig: Rig, device: torch.device | str = "cpu") -> None:
        P, self.pairs = rig.projections(), rig.pairs
        pencils = [pencil_of(theta_of_pair(geometry.fundamental_matrix(P[a], P[b]))) for a, b in self.pairs]
        self._knots = torch.from_numpy(np.stack([p.knots for p in pencils])).to(device)
        lookups = np.stack([p.lookup().toarray() for p in pencils]).astype(np.float32)
        self._lookups = torch.from_numpy(lookups).swapaxes(1, 2).contiguous().to(device)
        self._incoming = [[p for p, (a, _) in enumerate(self.pairs) if a == v] for v in range(len(rig.cameras))]
        self._places = torch.from_numpy(NORMALISED).float().to(device)

    def weights(self, omega: Tensor, width: float = 1.0) -> Tensor:
        """Equation (2) at the knots of all pairs [P, L, 4096], the ridges ``width`` times as wide."""
        stretch = torch.tensor([1.0, 1 / width], device=omega.device)
        sampled = []
        for knots in self._knots:  # a pair at a time: the places to read at are twice as large as what is read
            places = torch.einsum("lrc,jc->ljr", knots[..., :2], self._places) + knots[:, None, :, 2]
            sampled.append(grid_sample(omega[None, None], (places * stretch)[None], align_corners=True)[0, 0])
        return torch.stack(sampled)

    def fuse(self, weights: Tensor, heatmaps: Tensor, gains: Tensor, rounds: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Equation (1) in two rounds; heatmaps [V, S, 4096], gains [P], rounds (g₁, g₂, κ)."""
        first, second, sharpness = rounds
        fused = heatmaps + first * self._evidence(weights, heatmaps, gains)
        positive = fused.clamp_min(1e-6)
        belief = (positive / positive.amax(-1, keepdim=True)) ** sharpness
        return heatmaps + second * self._evidence(weights, heatmaps * belief, gains)

    def _evidence(self, weights: Tensor, heatmaps: Tensor, gains: Tensor) -> Tensor:
        seen = torch.where(heatmaps > FLOOR, heatmaps, torch.zeros_like(heatmaps))
        total = []
        for incoming in self._incoming:
            knots = [gains[p] * (seen[self.pairs[p][1]] @ weights[p].T) for p in incoming]
            total.append(torch.cat(knots, 1) @ self._lookups[incoming].flatten(0, 1))
        return torch.stack(total)

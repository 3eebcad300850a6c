"""The factorised model of MetaFuse (CVPR 2020), equations (1) and (2), differentiable, and the paper's loss.

Weights are built for what a step can see of them: source pixels above the background, summed by blocks of 2×2 (which
peaks are wide enough for), and target pixels near any peak or label of the batch with some others at random, which
stand for all that were left out.

The loss is the paper's mean squared error behind its softmax of temperature 0.2 over each fused heatmap: what the
softmax makes of the fused heatmap is compared with a Gaussian at the label, both summing to one over the view. Energy
along the lines, which a plain squared error pays for dearly, is all but free behind it while it is lower than a peak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, max_pool2d, pad

from models.affine import HALF, NORMALISED, PIXELS
from models.errors import InsufficientLabels
from models.heatmap import HEATMAP_SIZE, render
from models.labelled import LabelledFrames

TARGET_SIGMA_PX = 2.0  # of the Gaussian at a label, as the paper's backbone has it
TEMPERATURE = 0.2  # the paper's softmax on the fused heatmaps
_NEAR_LEVEL, _NEAR_PX = 0.3, 3  # target pixels this near a pixel this high are all in a step
_NEAR_LIMIT, _RANDOM = 512, 128
_ACTIVE = 0.05  # a source's heatmap below this is not summed while learning
_BORDER = 2  # zeros around ω_base, so that a place outside is read as zero
_STRIDE = HEATMAP_SIZE + 2 * _BORDER - 1
_BLOCK = 2  # source pixels to a side that are summed before they are weighed
_BLOCKS = torch.from_numpy(
    NORMALISED.reshape(HEATMAP_SIZE // _BLOCK, _BLOCK, HEATMAP_SIZE // _BLOCK, _BLOCK, 2).mean((1, 3)).reshape(-1, 2)
).float()  # the blocks' middles in normalised coordinates


@dataclass(frozen=True)
class Samples:
    """Of joints in frames: ``heatmaps`` and ``gaussians`` at the labels [V, S, 4096], ``seen`` [V, S, 1024] and more.

    ``seen`` is the heatmap above the background, summed over blocks; ``labelled`` [V, S] says what lies in the view.
    """

    heatmaps: Tensor
    gaussians: Tensor
    seen: Tensor
    labelled: Tensor

    @classmethod
    def of(cls, frames: LabelledFrames, device: str = "cpu", sigma_px: float = TARGET_SIGMA_PX) -> "Samples":
        """All joints labelled inside two views or more; raises InsufficientLabels where there is none."""
        views = frames.heatmaps.shape[1]
        joints = frames.joints_view.swapaxes(0, 1).reshape(views, -1, 2)
        inside = np.abs(joints - HALF).max(-1) < HEATMAP_SIZE / 2
        kept = inside.sum(0) >= 2
        if not kept.any():
            raise InsufficientLabels("No joint is labelled inside two views or more.", at="labels")
        heatmaps = frames.heatmaps.swapaxes(0, 1).reshape(views, -1, PIXELS)[:, kept]
        gaussians = render(joints[:, kept], sigma_px).reshape(views, -1, PIXELS)
        arrays = (np.ascontiguousarray(heatmaps, np.float32), gaussians, inside[:, kept])
        maps, targets, labelled = (torch.from_numpy(array).to(device) for array in arrays)
        return cls(maps, targets, in_blocks(maps), labelled)

    def __len__(self) -> int:
        return self.heatmaps.shape[1]

    def pair(self, target: int, source: int) -> "Samples":
        """The samples labelled inside both views, the target first."""
        views = [target, source]
        kept = self.labelled[views].all(0)
        return Samples(*(field[views][:, kept] for field in (self.heatmaps, self.gaussians, self.seen, self.labelled)))

    def take(self, index: NDArray[np.integer]) -> "Samples":
        """The samples of these numbers."""
        kept = torch.from_numpy(index).to(self.heatmaps.device)
        return Samples(self.heatmaps[:, kept], self.gaussians[:, kept], self.seen[:, kept], self.labelled[:, kept])

    def draw(self, size: int, rng: np.random.Generator) -> "Samples":
        """At most ``size`` different samples at random."""
        return self.take(rng.permutation(len(self))[:size])


def in_blocks(heatmaps: Tensor) -> Tensor:
    """Heatmaps [..., 4096] above the background, summed over blocks [..., 1024]."""
    lit = torch.where(heatmaps > _ACTIVE, heatmaps, 0.0).reshape(-1, 1, HEATMAP_SIZE, HEATMAP_SIZE)
    return (avg_pool2d(lit, _BLOCK) * _BLOCK**2).reshape(*heatmaps.shape[:-1], -1)


@dataclass(frozen=True)
class Model:
    """``omega`` [64, 64], ``theta`` [P, 4096, 2, 3] of (target, source) ``pairs``, and the gain of them all.

    With ``twice`` its loss can be differentiated twice.
    """

    omega: Tensor
    theta: Tensor
    pairs: Sequence[tuple[int, int]]
    gain: float
    twice: bool = False


@dataclass(frozen=True)
class TargetPixels:
    """Pixels of a target view [T] that a step looks at, and how many pixels each stands for [T]."""

    index: Tensor
    weight: Tensor


def target_pixels(batch: Samples, view: int, rng: np.random.Generator) -> TargetPixels:
    """Those near a peak or label of the batch, up to a limit, and a random share of the others in their name."""
    height = torch.maximum(batch.heatmaps[view], batch.gaussians[view]).amax(0).reshape(1, HEATMAP_SIZE, HEATMAP_SIZE)
    near = max_pool2d(height, 2 * _NEAR_PX + 1, stride=1, padding=_NEAR_PX).reshape(-1).cpu().numpy() > _NEAR_LEVEL
    parts, weights = [], []
    for candidates, limit in ((np.flatnonzero(near), _NEAR_LIMIT), (np.flatnonzero(~near), _RANDOM)):
        chosen = rng.permutation(candidates)[:limit]
        parts.append(chosen)
        weights.append(np.full(len(chosen), len(candidates) / max(len(chosen), 1), np.float32))
    device = batch.heatmaps.device
    return TargetPixels(
        torch.from_numpy(np.concatenate(parts)).to(device), torch.from_numpy(np.concatenate(weights)).to(device)
    )


def sampled_weights(omega: Tensor, theta: Tensor, sources: Tensor, *, twice: bool = False) -> Tensor:
    """Equation (2) [T, A] for θ [T, 2, 3] of some target pixels, at ``sources`` [A, 2] in normalised coordinates.

    With ``twice`` it can be differentiated twice, which torch's own bilinear reading cannot; that takes twice as long.
    """
    places = (theta[..., :2].reshape(-1, 2) @ sources.T).reshape(len(theta), 2, -1) + theta[..., 2:]
    if twice:
        return _read(omega, places)
    return grid_sample(omega[None, None], places.permute(0, 2, 1)[None], align_corners=True)[0, 0]


def _read(omega: Tensor, places: Tensor) -> Tensor:
    """Bilinear reading [T, A] at normalised places [T, 2, A]: one look-up of the cell's coefficients, zero outside."""
    x, y = ((places + 1) * HALF + _BORDER).clamp(0, _STRIDE - 1e-3).unbind(1)
    column, row = x.detach().floor(), y.detach().floor()
    index = (row * _STRIDE + column).long()
    a, b, c, d = _cells(omega).index_select(0, index.reshape(-1)).reshape(*index.shape, 4).unbind(-1)
    return a + (x - column) * b + (y - row) * (c + (x - column) * d)


def _cells(omega: Tensor) -> Tensor:
    """The bilinear coefficients [cells, 4] of every cell of ω_base with zeros around it."""
    padded = pad(omega, (_BORDER,) * 4)
    corner, right, below = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1]
    cross = corner - right - below + padded[1:, 1:]
    return torch.stack([corner, right - corner, below - corner, cross], -1).reshape(-1, 4)


def fused_at(model: Model, batch: Samples, target: int, pixels: Tensor) -> Tensor:
    """Equation (1) at some pixels [T] of a target view: fused heatmaps [S, T] of all samples."""
    fused = batch.heatmaps[target][:, pixels]
    for pair, (a, source) in enumerate(model.pairs):
        if a == target:
            active = torch.nonzero(batch.seen[source].amax(0) > 0)[:, 0]
            points = _BLOCKS.to(model.omega)[active]
            weights = sampled_weights(model.omega, model.theta[pair, pixels], points, twice=model.twice)
            fused = fused + model.gain * (batch.seen[source][:, active] @ weights.T)
    return fused


def softmax_error(fused: Tensor, gaussians: Tensor, pixels: TargetPixels) -> Tensor:
    """The paper's loss of each sample [S]: fused heatmaps [S, T] at ``pixels`` against ``gaussians`` [S, 4096].

    Squared differences are summed over the view (``pixels`` stand for all of it), in units of those of an empty map:
    0 where the softmax is the Gaussian, about 1 where it is nothing anywhere.
    """
    wanted = gaussians / gaussians.sum(-1, keepdim=True)
    share = torch.softmax(fused / TEMPERATURE + pixels.weight.log(), -1) / pixels.weight
    error = (share - wanted[:, pixels.index]).square() * pixels.weight
    return error.sum(-1) / wanted.square().sum(-1)


def loss(model: Model, batch: Samples, targets: Mapping[int, TargetPixels]) -> Tensor:
    """The mean of ``softmax_error`` over target views, at some of their pixels, and the samples labelled in them."""
    errors = []
    for target, pixels in targets.items():
        kept = batch.labelled[target]
        fused = fused_at(model, batch, target, pixels.index)
        errors.append(softmax_error(fused[kept], batch.gaussians[target][kept], pixels))
    return torch.cat(errors).mean()

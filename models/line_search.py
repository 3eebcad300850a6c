"""Finding where a pair's pixels look, from labels alone: the paper's finetuning, from coarse to fine.

A ridge a few pixels wide feels nothing of a line farther off, and few frames have a label near any one pixel. So
before the detector's heatmaps are fused, Gaussians at the source's labels are, against Gaussians at the target's; both
are wide first and narrow in the end, and the gradient of θ is blurred over the target's pixels, as neighbours look
alike. The model and its loss stay the paper's: six free numbers a pixel, squared error behind a softmax, Adam.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d

from models.affine import HALF
from models.curves import UNSEEN, Curves
from models.factorised import TEMPERATURE, Model, sampled_weights
from models.heatmap import HEATMAP_SIZE
from models.labelled import LabelledFrames

LEARNING_RATE = 5e-3  # the paper's, at first; a tenth of it in the end
_LABEL_PX = (5.0, 2.5, 1.5, 1.2)  # σ of the Gaussians at labels, in equal parts of the search
_ALIKE_PX = (16.0, 12.0, 8.0, 4.0)  # σ of the gradient's blur, between these at equal distances
_RIDGE_PX = 2.0  # about that of ω_base: evidence is kept as high through a wide Gaussian as through a narrow one
_BATCH = 32
_STRIDE = 3  # every third target pixel each way takes part in a step, from a random first one
_ACTIVE = 0.02
_BLOCK = 2  # source pixels to a side that are summed


def find_lines(
    omega: Tensor,
    theta: Tensor,
    pairs: Sequence[tuple[int, int]],
    frames: LabelledFrames,
    *,
    steps: int,
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda _share: None,
    curves: Curves = UNSEEN,
    held_back: LabelledFrames | None = None,
) -> Tensor:
    """θ [P, 4096, 2, 3] after ``steps`` steps on the labels of ``frames``, from ``theta``; ω_base is frozen.

    ``curves`` are told the loss, also of the frames ``held_back``, which decide nothing here.
    """
    labels = _Labels.of(frames)
    few = None if held_back is None else _Labels.of(held_back).some(_BATCH)
    free = theta.clone()
    model = Model(omega, free, pairs, 1.0)
    optimiser = torch.optim.Adam([free], lr=LEARNING_RATE)
    for step in range(steps):
        share = step / steps
        batch = labels.take(rng.permutation(labels.joints.shape[1])[:_BATCH])
        label_px = _LABEL_PX[int(share * len(_LABEL_PX))]
        if few is not None and curves.due(step):
            curves.held_back(step, _loss(model, few, label_px))
        value, gradient = _value_and_gradient(model, batch, label_px, rng.integers(_STRIDE, size=2))
        free.grad = blurred(gradient, float(np.interp(share, np.linspace(0, 1, len(_ALIKE_PX)), _ALIKE_PX)))
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - 0.9 * share)
        optimiser.step()
        curves.learned(step + 1, value)
        progress((step + 1) / steps)
    return free


@dataclass(frozen=True)
class _Labels:
    """Joints [V, S, 2] of which ``inside`` [V, S] are in their view."""

    joints: NDArray[np.float64]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, frames: LabelledFrames) -> "_Labels":
        joints = frames.joints_view.swapaxes(0, 1).reshape(frames.joints_view.shape[1], -1, 2)
        return cls(joints, np.abs(joints - HALF).max(-1) < HEATMAP_SIZE / 2)

    def take(self, index: NDArray[np.integer]) -> "_Labels":
        return _Labels(self.joints[:, index], self.inside[:, index])

    def some(self, count: int) -> "_Labels":
        """So many of those inside two views or more, spread evenly."""
        usable = np.flatnonzero(self.inside.sum(0) >= 2)
        return self.take(usable[np.unique(np.linspace(0, len(usable) - 1, min(count, len(usable))).astype(int))])


def blurred(field: Tensor, sigma_px: float) -> Tensor:
    """A field [P, 4096, 2, 3] over target pixels under a Gaussian of ``sigma_px``; what is outside counts as zero."""
    reach = min(int(2.5 * sigma_px) + 1, HEATMAP_SIZE - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=field.device) / sigma_px).square())
    kernel = (kernel / kernel.sum()).to(field.dtype)
    images = field.reshape(-1, HEATMAP_SIZE, HEATMAP_SIZE, 6).permute(0, 3, 1, 2).reshape(-1, 1, *[HEATMAP_SIZE] * 2)
    images = conv2d(images, kernel[None, None, :, None], padding=(reach, 0))
    images = conv2d(images, kernel[None, None, None, :], padding=(0, reach))
    return images.reshape(-1, 6, HEATMAP_SIZE, HEATMAP_SIZE).permute(0, 2, 3, 1).reshape(field.shape)


def _value_and_gradient(
    model: Model, labels: _Labels, label_px: float, first: NDArray[np.integer]
) -> tuple[Tensor, Tensor]:
    """The mean loss of the pairs, and θ's gradient of each pair's own loss."""
    values, gradient = [], torch.zeros_like(model.theta)
    pixels, losses = _losses(model, labels, label_px, first)
    for pair, leaf, value in losses:
        gradient[pair, pixels] = torch.autograd.grad(value, leaf)[0]
        values.append(value.detach())
    return torch.stack(values).mean() if values else torch.tensor(torch.nan), gradient


@torch.no_grad()
def _loss(model: Model, labels: _Labels, label_px: float) -> float:
    """The mean loss of the pairs, always at the same target pixels."""
    _, losses = _losses(model, labels, label_px, np.zeros(2, np.intp))
    return float(np.mean([float(value) for _, _, value in losses]))


def _losses(
    model: Model, labels: _Labels, label_px: float, first: NDArray[np.integer]
) -> tuple[Tensor, Iterator[tuple[int, Tensor, Tensor]]]:
    """The target pixels that take part, from the ``first`` on; and each pair with labels: its θ there, and its loss."""
    omega, theta = model.omega, model.theta
    columns, rows = (np.arange(start, HEATMAP_SIZE, _STRIDE) for start in first)
    pixels = torch.from_numpy((rows[:, None] * HEATMAP_SIZE + columns).reshape(-1)).to(theta.device)
    middles = np.arange(HEATMAP_SIZE // _BLOCK) * _BLOCK + (_BLOCK - 1) / 2
    grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    points = torch.from_numpy((grid - HALF) / HALF).to(omega)
    wide = (_RIDGE_PX**2 + label_px**2) / (_RIDGE_PX**2 + 4)
    height = _BLOCK**2 * 4 / label_px**2 * float(np.sqrt(wide))
    seen = height * torch.from_numpy(_gaussians(labels.joints, middles, middles, label_px)).to(omega)
    wanted = torch.from_numpy(_gaussians(labels.joints, columns, rows, label_px)).to(omega)

    def each() -> Iterator[tuple[int, Tensor, Tensor]]:
        for pair, (target, source) in enumerate(model.pairs):
            both = torch.from_numpy(labels.inside[target] & labels.inside[source])
            if both.any():
                leaf = theta[pair, pixels].detach().requires_grad_()
                yield pair, leaf, _pair_loss(omega, leaf, points, seen[source][both], wanted[target][both])

    return pixels, each()


def _pair_loss(omega: Tensor, theta: Tensor, points: Tensor, seen: Tensor, wanted: Tensor) -> Tensor:
    """The paper's loss where the target sees nothing itself: ``seen`` [S, A] at ``points``, ``wanted`` [S, T]."""
    active = torch.nonzero(seen.amax(0) > _ACTIVE)[:, 0]
    evidence = seen[:, active] @ sampled_weights(omega, theta, points[active]).T
    wanted = wanted / wanted.sum(-1, keepdim=True).clamp_min(1e-6)
    error = (torch.softmax(evidence / TEMPERATURE, -1) - wanted).square().sum(-1)
    return (error / wanted.square().sum(-1).clamp_min(1e-6)).mean()


def _gaussians(
    joints: NDArray[np.float64], columns: NDArray[np.number], rows: NDArray[np.number], sigma_px: float
) -> NDArray[np.float64]:
    """Gaussians of height 1 at joints [V, S, 2], at the crossings of columns and rows: [V, S, rows × columns]."""
    at = np.nan_to_num(joints, nan=-1e3)
    x, y = (np.exp(-0.5 * ((at[..., i, None] - axis) / sigma_px) ** 2) for i, axis in enumerate((columns, rows)))
    return (y[..., :, None] * x[..., None, :]).reshape(*joints.shape[:2], -1)

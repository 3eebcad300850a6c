"""The paper's finetuning: ω_base frozen, θ of every pixel and pair free, Adam at 5e-3 from one start for all pairs.

No camera takes part. The paper trains for a fixed time; here the frames to choose by say after how many steps to stop,
and how much of the common gain to keep (or none), since few frames are soon learned by heart. With ``search``, which
the paper does not have, most steps go to finding the lines from labels alone (models.line_search), and the others to
the detector's heatmaps, with θ's gradient blurred. What is kept of those is a running mean of θ, because Adam moves the
θ of a pixel that saw little as far as any other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.affine import PIXELS
from models.baselines import default_gains
from models.curves import Curves, Observe
from models.errors import InvalidOptions
from models.factorised import (
    TARGET_SIGMA_PX,
    Model,
    Samples,
    TargetPixels,
    fused_at,
    loss,
    softmax_error,
    target_pixels,
)
from models.heatmap import HEATMAP_SIZE
from models.labelled import LabelledFrames
from models.learning import Learned, Task
from models.line_search import blurred, find_lines
from models.naivefuse_samples import thinned
from models.pair_weights import OmegaBase
from models.starts import Start
from models.torch_fusion import detection_loss

LEARNING_RATE = 5e-3  # the paper's
MAX_CAMERAS = 8  # 0.4 GB of weights at 4, 1.9 GB at 8
_SIGMA_PX = 1.2  # of the targets: the softmax leaves of a full peak of 2 px about 2·√T = 0.9
_BATCH = 128
_MOST_SAMPLES = 4_000  # memory grows with their number
_MEAN_STEPS = 40  # of the running mean of θ
_CHECK_STEPS = 20
_CHOOSE_LIMIT = 400  # samples that the choice is made on
_GAINS = (0.0, 0.1, 0.25, 0.5, 1.0)  # none higher: frames near those learned from flatter
_CHUNK = 1024
_ALIKE_PX = 4.0  # of the gradient's blur over target pixels
_SEARCH_SHARE = 0.9  # of the steps, on labels alone


@dataclass(frozen=True)
class Choice:
    """A way to fuse: θ [P, 4096, 2, 3], common gain, steps done; and its loss on the frames to choose by.

    ``error`` is the loss that is learned with, on those frames.
    """

    theta: Tensor
    gain: float
    steps: int
    loss: float
    error: float


def learn(task: Task, start: Start) -> Learned:
    """θ of all pairs of a rig by finetuning; raises InvalidOptions where the rig has too many cameras."""
    views, pairs = len(task.rig.cameras), task.rig.pairs
    if views > MAX_CAMERAS:
        raise InvalidOptions(
            f"This method keeps weights for every pixel and is offered for at most {MAX_CAMERAS} cameras; "
            f"this rig has {views}.",
            at="method",
        )
    task.progress("finetune", 0.02)
    fit = thinned(task.parts.fit, _MOST_SAMPLES)
    choice = finetune(
        start, fit, task.parts.choose, pairs, steps=task.options.steps, search=task.options.search_lines, rng=task.rng,
        device=task.device, progress=lambda share: task.progress("finetune", 0.02 + 0.66 * share), observe=task.observe,
    )  # fmt: skip
    theta = choice.theta.cpu().numpy().reshape(len(pairs), HEATMAP_SIZE, HEATMAP_SIZE, 2, 3)
    omega = OmegaBase(start.omega, (1.0, 0.0), 0.0, start.digest)
    lineage = {"steps": choice.steps, "gain": choice.gain, "start": start.digest}
    return Learned(task.rig, omega, np.full(len(pairs), default_gains(views) * choice.gain), theta, lineage=lineage)


def finetune(
    start: Start,
    fit: LabelledFrames,
    choose: LabelledFrames,
    pairs: Sequence[tuple[int, int]],
    *,
    steps: int,
    search: bool,
    rng: np.random.Generator,
    device: str = "cpu",
    progress: Callable[[float], None] = lambda _share: None,
    observe: Observe | None = None,
) -> Choice:
    """The best of at most ``steps`` steps of Adam on θ of all ``pairs``, ω_base frozen."""
    samples, judge = Samples.of(fit, device, _SIGMA_PX), _Judge.of(choose, device)
    omega = torch.from_numpy(start.omega).to(device)
    theta = torch.from_numpy(start.theta).to(device).expand(len(pairs), -1, -1, -1)
    searched = round(_SEARCH_SHARE * steps) if search else 0
    found = find_lines(
        omega, theta, pairs, fit, steps=searched, rng=rng, progress=lambda share: progress(share * _SEARCH_SHARE),
        curves=Curves(observe, "lines", searched), held_back=choose,
    )  # fmt: skip
    theta = found.requires_grad_()
    model = Model(omega, theta, pairs, default_gains(samples.heatmaps.shape[0]))
    optimiser = torch.optim.Adam([theta], lr=LEARNING_RATE)
    mean = theta.detach().clone()
    best = judge.best(model, mean, searched)
    curves = Curves(observe, "finetune", steps - searched, after=searched)
    curves.held_back(0, best.error)
    for step in range(1, steps - searched + 1):
        value = take_step(optimiser, model, samples.draw(_BATCH, rng), rng, alike_px=_ALIKE_PX if search else 0.0)
        curves.learned(step, value)
        mean = mean.lerp(theta.detach(), max(1 / step, 1 / _MEAN_STEPS))
        if (searched + step) % _CHECK_STEPS == 0 or searched + step == steps:
            choice = judge.best(model, mean, searched + step)
            best = min(best, choice, key=lambda choice: choice.loss)
            curves.held_back(step, choice.error)
        progress((searched + step) / steps)
    return best


def take_step(
    optimiser: torch.optim.Optimizer, model: Model, batch: Samples, rng: np.random.Generator, *, alike_px: float = 0.0
) -> float:
    """One step on the paper's loss over all target views of ``model``; returns the loss before it.

    θ's gradient is blurred over the target's pixels by ``alike_px``.
    """
    targets = {view: target_pixels(batch, view, rng) for view in {target for target, _ in model.pairs}}
    value = loss(model, batch, targets)
    optimiser.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    if model.theta.grad is not None and alike_px > 0:
        model.theta.grad = blurred(model.theta.grad, alike_px)
    optimiser.step()
    return value.item()


@dataclass(frozen=True)
class _Judge:
    """The frames to choose by: their samples, the labels [V, S, 2], and the Gaussians that are learned towards."""

    samples: Samples
    joints: Tensor
    wanted: Tensor

    @classmethod
    def of(cls, frames: LabelledFrames, device: str) -> "_Judge":
        samples = Samples.of(frames, device)
        index = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), _CHOOSE_LIMIT)).astype(int))
        kept = samples.take(index)
        peaks = kept.gaussians.argmax(-1)
        joints = torch.stack([peaks % HEATMAP_SIZE, peaks // HEATMAP_SIZE], -1).float()
        narrower = kept.gaussians.pow((TARGET_SIGMA_PX / _SIGMA_PX) ** 2)
        return cls(kept, joints.masked_fill(~kept.labelled[..., None], torch.nan), narrower)

    @torch.no_grad()
    def best(self, model: Model, theta: Tensor, step: int) -> Choice:
        """θ with the common gain that finds most joints."""
        tried = Model(model.omega, theta, model.pairs, model.gain)
        every = torch.split(torch.arange(PIXELS, device=theta.device), _CHUNK)
        views = range(len(self.joints))
        fused = torch.stack([torch.cat([fused_at(tried, self.samples, v, part) for part in every], 1) for v in views])
        evidence = fused - self.samples.heatmaps
        losses = [float(detection_loss(self.samples.heatmaps + g * evidence, self.joints)) for g in _GAINS]
        index = int(np.argmin(losses))
        return Choice(theta.clone(), _GAINS[index], step, losses[index], self._error(fused))

    def _error(self, fused: Tensor) -> float:
        """The paper's loss, at all pixels of the fused heatmaps [V, S, 4096]."""
        every = TargetPixels(torch.arange(PIXELS, device=fused.device), torch.ones(PIXELS, device=fused.device))
        views = zip(fused, self.wanted, self.samples.labelled, strict=True)
        return float(torch.cat([softmax_error(view[kept], wanted[kept], every) for view, wanted, kept in views]).mean())

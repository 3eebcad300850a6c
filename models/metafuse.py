"""The default method: θ from geometry that the labels have repaired, then few numbers learned, ω_base frozen.

The labels repair the extrinsics by bundle adjustment, and θ of every pair starts as the canonical form of the repaired
epipolar geometry. Then few numbers are learned by the smooth detection loss: how wide the ridges are, and how much each
pair is trusted. What does not help on frames it was not fitted to is dropped.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import evaluation
from models.affine import HALF, PIXELS
from models.baselines import calibrated_theta, default_gains
from models.bundle import repair_extrinsics
from models.curves import Curves
from models.errors import InsufficientLabels
from models.extrinsics import extrinsics_from_labels
from models.fanout import Arrays
from models.labelled import LabelledFrames
from models.learning import Learned, Parts, Task
from models.methods import AdaptationOptions
from models.pair_weights import OmegaBase
from models.rig import Rig
from models.torch_fusion import KnotWeights, PencilFusion, detection_loss
from models.weights import default_omega

_LABEL_SIGMA_PX = 0.25
_FOLDS = 3  # of the frames, to find out whether a repair holds for others
_WIDTHS = (0.8, 1.0, 1.25)
_SCALES = (0.5, 0.7, 1.0)
_LEARNING_RATE = 0.03
_PRIOR = 0.1  # weight of the squared log-gains: a pair is trusted like any other until the frames say otherwise
_SAMPLE_BUDGET = 3_000  # samples × pairs that are kept in memory for learning
_BATCH_BUDGET = 300  # samples × pairs of one step
_CURVE_BUDGET = 300  # samples × pairs to choose by that the learning curve is of


def learn(task: Task) -> Learned:
    """Cameras, θ and γ of a rig."""
    task.progress("repair cameras", 0.02)
    cameras = _repair(task.rig, task.parts, task.options)
    task.progress("finetune", 0.08)
    omega = default_omega()
    problem = _Problem.build(cameras, task.parts, omega, task.rng, task.device)
    width, gains = _finetune(task, cameras, problem)
    theta = calibrated_theta(cameras, width).astype(np.float32)
    lineage = {"ridge_width": width, "extrinsics": task.options.extrinsics}
    return Learned(cameras, omega, gains, theta, may_project=True, lineage=lineage)


def _repair(rig: Rig, parts: Parts, options: AdaptationOptions) -> Rig:
    """The rig with cameras repaired by the labels, where that is better on labels not repaired by; else as sent.

    That is found out by cross-validation: the frames held out decide nothing but the verdict. Cameras that come from
    the labels alone are what they are.
    """
    if options.extrinsics == "labels":
        return extrinsics_from_labels(
            rig, parts.seen, body_height_m=options.body_height_m, first_distance=options.first_distance
        )
    if not options.repair_cameras:
        return rig
    seen = replace(parts.seen, heatmaps=parts.seen.heatmaps[:, :0])  # folds need no heatmaps
    repaired = _repaired(rig, seen)
    folds = np.array_split(np.arange(len(seen.frames)), _FOLDS)
    errors = [_fold_errors(rig, seen, fold) for fold in folds]
    before, after = (np.concatenate(each) for each in zip(*errors, strict=True))
    return repaired if evaluation.mean(after) < evaluation.mean(before) else rig


def _fold_errors(rig: Rig, frames: LabelledFrames, fold: NDArray[np.intp]) -> tuple[NDArray[np.float64], ...]:
    """Reprojection errors [F, V, J] of a fold's labels, by the cameras as sent and as the other frames repair them."""
    others = frames.subset(np.setdiff1d(np.arange(len(frames.frames)), fold))
    try:
        repaired = _repaired(rig, others)
    except InsufficientLabels:
        repaired = rig
    return tuple(evaluation.label_reprojection_px(cameras, frames.subset(fold)) for cameras in (rig, repaired))


def _repaired(rig: Rig, frames: LabelledFrames) -> Rig:
    """The rig with its cameras adjusted to the labels."""
    views = len(rig.cameras)
    rays = np.stack([view.invert(frames.joints_view[:, v]) for v, view in enumerate(rig.views)], axis=2)
    sigma = np.array([_LABEL_SIGMA_PX / view.scale for view in rig.views])
    repair = repair_extrinsics(
        np.stack([c.R for c in rig.cameras]), np.stack([c.t for c in rig.cameras]), rays.reshape(-1, views, 2), sigma
    )
    return rig.with_poses(repair.R, repair.t)


def _finetune(task: Task, cameras: Rig, problem: "_Problem") -> tuple[float, NDArray[np.float64]]:
    """The ridge width and γ [P] that find most joints.

    Width and common gain are two numbers, searched on all frames to learn from; what single pairs deserve beyond that
    is many, so it is learned on some frames and must prove itself on the others. The search is in pieces, one a width;
    the learning is not, since a second round of fusion lets the gains of one target decide what others see.
    """
    fusion = PencilFusion(cameras, problem.omega.device)
    searched = task.spread("width", [partial(_search, task, fusion, problem, index) for index in range(len(_WIDTHS))])
    losses = np.stack([found["losses"] for found in searched()])  # [widths, scales]
    best, scale = np.unravel_index(losses.argmin(), losses.shape)
    width, start = _WIDTHS[best], problem.start + float(np.log(_SCALES[scale]))
    weights = fusion.weights(problem.omega, width)
    learned = problem.learn(task, fusion, weights, start)
    rates = [problem.loss_over(fusion, weights, gains, problem.choose) for gains in (learned, start)]
    return width, (learned if rates[0] < rates[1] else start).exp().double().cpu().numpy()


def _search(task: Task, fusion: PencilFusion, problem: "_Problem", index: int) -> Arrays:
    """The mean loss of every common gain at one ridge width."""
    weights = fusion.weights(problem.omega, _WIDTHS[index])
    losses = []
    for step, scale in enumerate(_SCALES):
        start = problem.start + float(np.log(scale))
        losses.append(problem.loss_over(fusion, weights, start, problem.fit, problem.choose))
        task.progress("finetune", 0.1 + 0.3 * (index + (step + 1) / len(_SCALES)) / len(_WIDTHS))
    return {"losses": np.array(losses)}


@dataclass(frozen=True)
class _Problem:
    """Samples on the device: heatmaps [V, S, 4096] and labels [V, S, 2] to fit to and to choose by."""

    omega: Tensor
    rounds: tuple[Tensor, Tensor, Tensor]
    start: Tensor
    fit: tuple[Tensor, Tensor]
    choose: tuple[Tensor, Tensor]
    batch: int

    @classmethod
    def build(cls, cameras: Rig, parts: Parts, omega: OmegaBase, rng: np.random.Generator, device: str) -> "_Problem":
        pairs = len(cameras.pairs)
        limit = max(32, _SAMPLE_BUDGET // pairs)
        first, second, sharpness = (torch.tensor(v, device=device) for v in (*omega.gains, omega.sharpness))
        return cls(
            omega=torch.from_numpy(omega.values).to(device),
            rounds=(first, second, sharpness),
            start=torch.full((pairs,), float(np.log(default_gains(len(cameras.cameras)))), device=device),
            fit=_samples(parts.fit, limit, rng, device),
            choose=_samples(parts.choose, limit, rng, device),
            batch=max(4, _BATCH_BUDGET // pairs),
        )

    def loss(
        self, fusion: PencilFusion, weights: KnotWeights, log_gains: Tensor, batch: tuple[Tensor, Tensor]
    ) -> Tensor:
        heatmaps, joints = batch
        return detection_loss(fusion.fuse(weights, heatmaps, log_gains.exp(), self.rounds), joints)

    @torch.no_grad()
    def loss_over(
        self, fusion: PencilFusion, weights: KnotWeights, log_gains: Tensor, *parts: tuple[Tensor, Tensor]
    ) -> float:
        """The mean loss over all samples of ``parts``."""
        total, count = 0.0, 0
        for heatmaps, joints in parts:
            for chunk in zip(torch.split(heatmaps, self.batch, 1), torch.split(joints, self.batch, 1), strict=True):
                size = chunk[1].shape[1]
                total += float(self.loss(fusion, weights, log_gains, chunk)) * size
                count += size
        return total / count

    def learn(self, task: Task, fusion: PencilFusion, weights: KnotWeights, start: Tensor) -> Tensor:
        """Logarithms of γ [P] by Adam on batches of the frames to fit to, averaged over the later half of the steps."""
        steps, few = task.options.steps, self._few_to_choose_by()
        curves = Curves(task.observe, "finetune", steps)
        log_gains, average = start.clone().requires_grad_(), torch.zeros_like(start)
        optimiser = torch.optim.Adam([log_gains], lr=_LEARNING_RATE)
        heatmaps, joints = self.fit
        for step in range(1, steps + 1):
            if curves.due(step - 1):
                curves.held_back(step - 1, self.loss_over(fusion, weights, log_gains, few))
            index = torch.from_numpy(task.rng.integers(heatmaps.shape[1], size=self.batch)).to(heatmaps.device)
            loss = self.loss(fusion, weights, log_gains, (heatmaps[:, index], joints[:, index]))
            curves.learned(step, loss.detach())
            loss = loss + _PRIOR * (log_gains - start).square().mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if step > steps // 2:
                average += log_gains.detach() / (steps - steps // 2)
            task.progress("finetune", 0.4 + 0.3 * step / steps)
        if curves.due(steps):
            curves.held_back(steps, self.loss_over(fusion, weights, log_gains, few))
        return average if steps else start

    def _few_to_choose_by(self) -> tuple[Tensor, Tensor]:
        """Some of the samples to choose by, spread evenly: enough to see where a curve goes."""
        heatmaps, joints = self.choose
        count = joints.shape[1]
        few = min(count, max(8, _CURVE_BUDGET // len(self.start)))
        kept = torch.linspace(0, count - 1, few, device=joints.device).long()
        return heatmaps[:, kept], joints[:, kept]


def _samples(frames: LabelledFrames, limit: int, rng: np.random.Generator, device: str) -> tuple[Tensor, Tensor]:
    views = frames.heatmaps.shape[1]
    joints = frames.joints_view.swapaxes(0, 1).reshape(views, -1, 2)
    inside = np.abs(joints - HALF).max(-1) < HALF + 0.5
    usable = np.flatnonzero(inside.sum(0) >= 2)
    if not len(usable):
        raise InsufficientLabels("No joint is labelled inside two views or more.", at="labels")
    kept = np.sort(rng.permutation(usable)[:limit])
    frame, joint = np.divmod(kept, frames.heatmaps.shape[2])
    heatmaps = np.ascontiguousarray(frames.heatmaps[frame, :, joint].swapaxes(0, 1)).reshape(views, -1, PIXELS)
    labels = np.where(inside[..., None], joints, np.nan)[:, kept]
    return torch.from_numpy(heatmaps).float().to(device), torch.from_numpy(labels).float().to(device)

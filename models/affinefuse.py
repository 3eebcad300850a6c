"""AffineFuse: the factorised model, equation (2), trained by plain gradient descent instead of meta-learning.

The ablation of MetaFuse (CVPR 2020): θ of every target pixel is free, six numbers each, and is finetuned with ω_base
frozen by Adam at 5e-3 on the mean squared error between fused and Gaussian heatmaps, as the paper does. ω_base comes
from an ordinary pre-training, θ and ω_base jointly, on one simulated studio: ``python -m models.affinefuse`` rebuilds
what ships. In both, θ starts calibrated from the cameras, where the paper learns its start.

Weights are built for what a step can see of them: source pixels above the background, and target pixels near any peak
or label of the batch with some others at random, which stand for all that were left out.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d

from models.affine import HALF, NORMALISED, PIXELS
from models.baselines import calibrated_theta, default_gains
from models.errors import InsufficientLabels
from models.fusion import OmegaBase
from models.heatmap import HEATMAP_SIZE, render
from models.labelled import LabelledFrames
from models.weights import save_omega
from models.worlds import Detector, make_world, random_rig

TARGET_SIGMA_PX = 2.0
LEARNING_RATE = 5e-3  # the paper's finetuning
_NEAR_LEVEL, _NEAR_PX = 0.3, 3  # target pixels this near a pixel this high are all in a step
_NEAR_LIMIT, _RANDOM = 384, 128
_ACTIVE = 0.05  # a source's heatmap below this is not summed while learning
_POINTS = torch.from_numpy(NORMALISED).float()


@dataclass(frozen=True)
class Pretraining:
    """How ω_base for this method is made: one studio, Adam on ω_base and θ jointly."""

    steps: int = 600
    frames: int = 200
    cameras: int = 4
    samples: int = 12
    learning_rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class Samples:
    """Of joints in frames: ``heatmaps`` and target ``gaussians`` [V, S, 4096], ``labelled`` [V, S] inside the view."""

    heatmaps: Tensor
    gaussians: Tensor
    labelled: Tensor

    @classmethod
    def of(cls, frames: LabelledFrames, device: str = "cpu") -> "Samples":
        """All joints labelled inside two views or more; raises InsufficientLabels where there is none."""
        views = frames.heatmaps.shape[1]
        joints = frames.joints_view.swapaxes(0, 1).reshape(views, -1, 2)
        inside = np.abs(joints - HALF).max(-1) < HEATMAP_SIZE / 2
        kept = inside.sum(0) >= 2
        if not kept.any():
            raise InsufficientLabels("No joint is labelled inside two views or more.", at="labels")
        heatmaps = frames.heatmaps.swapaxes(0, 1).reshape(views, -1, PIXELS)[:, kept]
        gaussians = render(joints[:, kept], TARGET_SIGMA_PX).reshape(views, -1, PIXELS)
        arrays = (np.ascontiguousarray(heatmaps, np.float32), gaussians, inside[:, kept])
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def draw(self, size: int, rng: np.random.Generator) -> "Samples":
        """``size`` samples at random."""
        chosen = torch.from_numpy(rng.integers(self.heatmaps.shape[1], size=size)).to(self.heatmaps.device)
        return Samples(self.heatmaps[:, chosen], self.gaussians[:, chosen], self.labelled[:, chosen])


@dataclass(frozen=True)
class Model:
    """``omega`` [64, 64], ``theta`` [P, 4096, 2, 3] of (target, source) ``pairs``, and the gain of them all."""

    omega: Tensor
    theta: Tensor
    pairs: Sequence[tuple[int, int]]
    gain: float


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


def sampled_weights(omega: Tensor, theta: Tensor, sources: Tensor) -> Tensor:
    """Equation (2) [T, A] for θ [T, 2, 3] of some target pixels, at ``sources`` [A], indices of source pixels."""
    places = torch.einsum("trc,ac->tar", theta[..., :2], _POINTS.to(theta)[sources]) + theta[:, None, :, 2]
    return grid_sample(omega[None, None], places[None], padding_mode="zeros", align_corners=True)[0, 0]


def squared_error(model: Model, batch: Samples, targets: Sequence[TargetPixels]) -> Tensor:
    """Mean squared error of the fused heatmaps, summed in a view over ``targets`` [V] for all of its pixels.

    The mean runs over pixels and over the samples labelled inside the target view.
    """
    seen = torch.where(batch.heatmaps > _ACTIVE, batch.heatmaps, 0.0)
    active = [torch.nonzero(view.amax(0) > 0)[:, 0] for view in seen]
    total, count = model.theta.new_zeros(()), 0
    for target, pixels in enumerate(targets):
        kept = batch.labelled[target]
        fused = batch.heatmaps[target][kept][:, pixels.index]
        for pair, (a, source) in enumerate(model.pairs):
            if a == target:
                weights = sampled_weights(model.omega, model.theta[pair, pixels.index], active[source])
                fused = fused + model.gain * (seen[source][kept][:, active[source]] @ weights.T)
        error = (fused - batch.gaussians[target][kept][:, pixels.index]).square() * pixels.weight
        total, count = total + error.sum(), count + int(kept.sum())
    return total / (max(count, 1) * PIXELS)


def learn(
    theta: NDArray[np.float32],
    omega: OmegaBase,
    frames: LabelledFrames,
    pairs: Sequence[tuple[int, int]],
    *,
    steps: int,
    batch: int = 12,
    rng: np.random.Generator,
    device: str = "cpu",
    progress: Callable[[float], None] = lambda _fraction: None,
) -> NDArray[np.float32]:
    """θ [P, 64, 64, 2, 3] after ``steps`` of Adam from ``theta``, ω_base frozen."""
    samples = Samples.of(frames, device)
    free = torch.from_numpy(theta.reshape(len(pairs), PIXELS, 2, 3)).to(device).clone().requires_grad_()
    gain = omega.gains[0] * default_gains(samples.heatmaps.shape[0])
    model = Model(torch.from_numpy(omega.values).to(device), free, pairs, gain)
    optimiser = torch.optim.Adam([free], lr=LEARNING_RATE)
    for step in range(steps):
        _step(optimiser, model, samples.draw(batch, rng), rng)
        progress((step + 1) / steps)
    return free.detach().cpu().numpy().reshape(theta.shape)


def _step(optimiser: torch.optim.Optimizer, model: Model, batch: Samples, rng: np.random.Generator) -> float:
    targets = [target_pixels(batch, view, rng) for view in range(batch.heatmaps.shape[0])]
    loss = squared_error(model, batch, targets)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.item()


def pretrain(schedule: Pretraining, report: Callable[[int, float], None]) -> OmegaBase:
    """Learn ω_base with the θ of one simulated studio, from nothing; ``report(step, loss)`` after every step."""
    rng = np.random.default_rng(schedule.seed)
    rig = random_rig(rng, schedule.cameras)
    samples = Samples.of(make_world(rng, rig, schedule.frames, Detector(), clips=10).labelled())
    theta = torch.from_numpy(calibrated_theta(rig).reshape(len(rig.pairs), PIXELS, 2, 3)).requires_grad_()
    omega = torch.zeros(HEATMAP_SIZE, HEATMAP_SIZE, requires_grad=True)
    optimiser = torch.optim.Adam([omega, theta], lr=schedule.learning_rate)
    model = Model(omega, theta, rig.pairs, default_gains(schedule.cameras))
    for step in range(schedule.steps):
        report(step, _step(optimiser, model, samples.draw(schedule.samples, rng), rng))
    return OmegaBase(omega.detach().numpy(), (1.0, 0.0), 0.0)


def main() -> None:
    """Rebuild this method's ω_base and write it with its provenance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights")
    parser.add_argument("--steps", type=int, default=Pretraining.steps)
    parser.add_argument("--seed", type=int, default=Pretraining.seed)
    arguments = parser.parse_args()
    schedule = Pretraining(steps=arguments.steps, seed=arguments.seed)
    curve: list[float] = []
    started = time.monotonic()
    omega = pretrain(schedule, lambda _step, loss: curve.append(loss))
    window = max(1, schedule.steps // 20)
    means = np.array(curve)[: len(curve) // window * window].reshape(-1, window).mean(1).round(6).tolist()
    provenance = {
        "method": "affinefuse: Adam on ω_base and θ jointly, one simulated studio",
        "schedule": asdict(schedule),
        "loss": "mean squared error",
        "curve": {"fused": means, "steps_per_point": window},
        "seconds": round(time.monotonic() - started, 1),
        "torch": torch.__version__,
    }
    save_omega(omega, arguments.out, provenance, "affine_base")
    print(json.dumps(means))  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()

"""Learning ω_base over many rigs: ``python -m models.metalearning`` rebuilds what ships in ``models/weights``.

θ of every pair is calibrated (models.affine), so only the generic map ω_base and the two rounds' gains and sharpness
are learned, each step on a rig, a motion and a detector of its own. The loss is the smooth detection loss: a bounded,
differentiable stand-in for 1 − JDR. Mean squared error, the paper's loss, pays for the energy along the lines and so
wants gains too small to find a hidden joint.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torch.nn.functional import conv1d, interpolate

from models.affine import ACROSS, PIXELS
from models.baselines import default_gains
from models.fusion import OmegaBase
from models.heatmap import HEATMAP_SIZE
from models.torch_fusion import PencilFusion, detection_loss
from models.weights import save_omega
from models.worlds import Detector, World, make_world, random_rig

_COLUMNS = 9  # ω_base changes slowly along the line: fewer free numbers, less noise
_KERNEL = torch.exp(-0.5 * torch.arange(-4.0, 5.0).square() / 1.5**2)[None, None]
_KERNEL /= _KERNEL.sum()


@dataclass(frozen=True)
class Schedule:
    """How ω_base is trained: one simulated rig a step."""

    steps: int = 500
    frames: int = 6
    learning_rate: float = 4e-3
    cameras: tuple[int, ...] = (3, 4, 4, 5, 6)
    seed: int = 0


def samples(world: World) -> tuple[Tensor, Tensor]:
    """Heatmaps [V, S, 4096] and labels [V, S, 2] of a world's frames and joints."""
    labelled = world.labelled()
    views = world.heatmaps.shape[1]
    heatmaps = torch.from_numpy(labelled.heatmaps).swapaxes(0, 1).reshape(views, -1, PIXELS)
    joints = torch.from_numpy(labelled.joints_view).float().swapaxes(0, 1).reshape(views, -1, 2)
    return heatmaps, joints


def train(schedule: Schedule, report: Callable[[int, float, float], None]) -> OmegaBase:
    """Learn ω_base; ``report(step, loss, loss without fusion)`` is called after every step."""
    rng = np.random.default_rng(schedule.seed)
    distance = torch.linspace(-ACROSS, ACROSS, HEATMAP_SIZE)[:, None].expand(-1, _COLUMNS)
    raw = (0.1 * torch.exp(-0.5 * distance.square())).clone().requires_grad_()
    rounds = torch.tensor([1.2, 2.6, 3.5]).log().requires_grad_()
    groups: list[dict[str, Any]] = [{"params": [raw]}, {"params": [rounds], "lr": 1e-2}]
    optimiser = torch.optim.Adam(groups, lr=schedule.learning_rate)
    average = [torch.zeros_like(raw), torch.zeros_like(rounds)]
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.steps)
    for step in range(schedule.steps):
        rig = random_rig(rng, int(rng.choice(schedule.cameras)))
        heatmaps, joints = samples(make_world(rng, rig, schedule.frames, Detector.random(rng), clips=3))
        fusion, gains = PencilFusion(rig), torch.full((len(rig.pairs),), default_gains(len(rig.cameras)))
        fused = fusion.fuse(fusion.weights(_ridge(raw)), heatmaps, gains, tuple(rounds.exp()))
        loss = detection_loss(fused, joints)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        decay.step()
        if step >= schedule.steps // 2:  # the mean of the later steps forgets the noise of single rigs
            share = 1 / (schedule.steps - schedule.steps // 2)
            average = [m + share * p.detach() for m, p in zip(average, (raw, rounds), strict=True)]
        report(step, loss.item(), detection_loss(heatmaps, joints).item())
    first, second, sharpness = average[1].exp().tolist()
    return OmegaBase(_ridge(average[0]).numpy(), (first, second), sharpness)


def _ridge(raw: Tensor) -> Tensor:
    """ω_base [64, 64] from its free numbers [64, columns]: smooth, and symmetric, since a line has no direction."""
    both = (raw + raw.flip(0) + raw.flip(1) + raw.flip(0, 1)) / 4
    smooth = conv1d(both.T[:, None], _KERNEL.to(both), padding=len(_KERNEL[0, 0]) // 2)[:, 0].T
    shape = (HEATMAP_SIZE, HEATMAP_SIZE)
    return interpolate(smooth[None, None], shape, mode="bilinear", align_corners=True)[0, 0]


def main() -> None:
    """Rebuild ω_base and write it with its provenance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights")
    parser.add_argument("--steps", type=int, default=Schedule.steps)
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    arguments = parser.parse_args()
    schedule = Schedule(steps=arguments.steps, seed=arguments.seed)
    curve: list[tuple[float, float]] = []
    started = time.monotonic()
    ticks = iter(track(range(schedule.steps), description="Meta-training ω_base"))

    def report(_: int, loss: float, unfused: float) -> None:
        next(ticks)
        curve.append((loss, unfused))

    omega = train(schedule, report)
    window = max(1, schedule.steps // 20)
    means = np.array(curve)[: len(curve) // window * window].reshape(-1, window, 2).mean(1).round(4)
    save_omega(
        omega,
        arguments.out,
        {
            "schedule": asdict(schedule),
            "loss": "smooth detection loss",
            "curve": {"fused": means[:, 0].tolist(), "no_fusion": means[:, 1].tolist(), "steps_per_point": window},
            "seconds": round(time.monotonic() - started, 1),
            "torch": torch.__version__,
        },
    )
    print(json.dumps(means.tolist()))  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()

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
from torch.nn.functional import conv1d, grid_sample, interpolate

from models import geometry
from models.affine import ACROSS, HALF, NORMALISED, PIXELS, theta_of_pair
from models.baselines import default_gains
from models.fusion import FLOOR, OmegaBase
from models.heatmap import HEATMAP_SIZE
from models.pencil import pencil_of
from models.rig import Rig
from models.weights import save_omega
from models.worlds import Detector, World, make_world, random_rig

NEAR_PX, FAR_PX, SOFTNESS = 1.6, 2.5, 0.08
_COLUMNS = 9  # ω_base changes slowly along the line: fewer free numbers, less noise
_KERNEL = torch.exp(-0.5 * torch.arange(-4.0, 5.0).square() / 1.5**2)[None, None]
_KERNEL /= _KERNEL.sum()
_PLACES = torch.from_numpy(np.ascontiguousarray(NORMALISED * HALF + HALF)).float()


@dataclass(frozen=True)
class Schedule:
    """How ω_base is trained: one simulated rig a step."""

    steps: int = 500
    frames: int = 6
    learning_rate: float = 4e-3
    cameras: tuple[int, ...] = (3, 4, 4, 5, 6)
    seed: int = 0


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
    """models.fusion.Fuser in torch, differentiable in ω_base, the gains and the sharpness."""

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

"""Algorithm 1 of MetaFuse (CVPR 2020): meta-learning where finetuning starts, θ for all pairs and ω_base.

A task is an ordered pair of cameras of one of many simulated studios. Its inner loop steps from the start on K frames,
θ' = θ − α ∇θ L_train and ω' = ω − α ∇ω L_train; the outer loop moves the start by the gradient of L_test(ω', θ') on K
other frames of the pair, Adam. ``--order 2`` differentiates through the inner steps; ``--order 1`` takes the
gradient at (ω', θ') for that at the start. With one studio and no inner step the same loop is the plain pre-training of
AffineFuse, the paper's ablation. ``python -m models.algorithm1`` rebuilds what ships for ``metafuse_paper``, and with
``--schedule affinefuse`` for ``affinefuse``.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.baselines import default_gains
from models.checkpoint import CODE_VERSION
from models.errors import CorruptArtifact
from models.factorised import Model, Samples, loss, target_pixels
from models.level_studios import level_rig
from models.starts import Start, same_row, save_start
from models.weights import FOLDER
from models.worlds import Detector, make_world


@dataclass(frozen=True)
class Schedule:
    """How a start is learned.

    ``tasks`` pairs an outer step, each with ``frames`` frames to train and as many to test on, of a studio of
    ``cameras`` cameras; at most ``samples`` joints of them are used at a time. ``studios`` are at hand, and one of them
    is replaced every ``renew`` steps (never, for 0).
    ``inner_steps`` of size ``inner_theta`` and ``inner_omega``: θ and ω_base have different units, so α is two numbers.
    Few and small steps: a longer training widens the ridge, since its short inner loop cannot find the lines.
    ``unit_px``, ``ridge_px`` and ``height`` are those of models.starts.same_row, from where training starts.
    """

    steps: int = 60
    order: int = 1
    tasks: int = 2
    frames: int = 8
    cameras: int = 4
    studios: int = 6
    renew: int = 25
    inner_steps: int = 2
    inner_theta: float = 3.0
    inner_omega: float = 1e-2
    learning_rate: float = 1e-4
    samples: int = 96
    unit_px: float = 32.0
    ridge_px: float = 2.0
    height: float = 0.08
    seed: int = 0


SCHEDULES = {
    "paper": Schedule(
        steps=30_000, order=2, learning_rate=1e-3, frames=50, cameras=20, studios=1, renew=0, inner_steps=1, samples=850
    ),
    "short": Schedule(),
    "affinefuse": Schedule(steps=150, frames=40, studios=1, renew=0, inner_steps=0),
}
"""``paper``: the 380 ordered pairs of 20 cameras of one studio, 50 frames; ``short``: many studios, on one CPU core in
minutes; ``affinefuse``: plain gradient descent on the pairs of one studio of four cameras."""
_NAMES = {"affinefuse": "affinefuse"}  # what else the schedules train is metafuse_paper
_SAVE_STEPS = 50
_CURVE_POINTS = 20
Fast = tuple[Tensor, Tensor]  # θ [4096, 2, 3] and ω_base [64, 64]


@dataclass
class State:
    """What changes in training: the start, Adam's memory of it, the steps done and the loss of each."""

    theta: Tensor
    omega: Tensor
    optimiser: torch.optim.Adam
    curve: list[float]

    @classmethod
    def new(cls, schedule: Schedule) -> "State":
        """Before the first step: every pixel looks at its own row."""
        start = same_row(schedule.unit_px, schedule.ridge_px, schedule.height)
        theta, omega = (torch.from_numpy(x).clone().requires_grad_() for x in (start.theta, start.omega))
        return cls(theta, omega, torch.optim.Adam([theta, omega], lr=schedule.learning_rate), [])

    def save(self, path: Path) -> None:
        """Write all of it to one safetensors file, whole or not at all."""
        tensors = {"theta": self.theta.detach(), "omega": self.omega.detach(), "curve": torch.tensor(self.curve)}
        for index, memory in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in memory.items()}
        partial = path.with_suffix(".partial")
        save_file(tensors, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, schedule: Schedule) -> "State":
        """Read what ``save`` wrote; raises CorruptArtifact where it is something else."""
        state = cls.new(schedule)
        try:
            tensors = load_file(path)
            with torch.no_grad():
                state.theta.copy_(tensors.pop("theta"))
                state.omega.copy_(tensors.pop("omega"))
            state.curve = tensors.pop("curve").double().tolist()
            memory: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                _, index, name = key.split(".")
                memory.setdefault(int(index), {})[name] = value
        except Exception as error:
            raise CorruptArtifact(f"{path.name} is not a state of this training: {error}.") from error
        state.optimiser.load_state_dict(state.optimiser.state_dict() | {"state": memory})
        return state

    def start(self) -> Start:
        """The start as it stands."""
        return Start(self.theta.detach().numpy().copy(), self.omega.detach().numpy().copy())


def train(state: State, schedule: Schedule, report: Callable[[int, float], None] = lambda _step, _loss: None) -> State:
    """All steps of ``schedule`` that ``state`` has not done; ``report(step, loss)`` after each.

    What a step draws depends on the seed and its number only, so an interrupted training ends as any other.
    """
    for step in range(len(state.curve), schedule.steps):
        rng = np.random.default_rng([schedule.seed, 1, step])
        gradients = [torch.zeros_like(state.theta), torch.zeros_like(state.omega)]
        total = 0.0
        for _ in range(schedule.tasks):
            value, of_task = meta_gradient((state.theta, state.omega), draw_task(schedule, step, rng), schedule, rng)
            total += value / schedule.tasks
            gradients = [g + t / schedule.tasks for g, t in zip(gradients, of_task, strict=True)]
        state.theta.grad, state.omega.grad = gradients
        state.optimiser.step()
        state.curve.append(total)
        report(step, total)
    return state


def draw_task(schedule: Schedule, step: int, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Samples of a pair to train and to test on, from different takes."""
    first = step // schedule.renew if schedule.renew else 0
    halves = studio(schedule, first + int(rng.integers(schedule.studios)))
    a, b = rng.permutation(schedule.cameras)[:2]
    train_half, test_half = (half.pair(int(a), int(b)).draw(schedule.samples, rng) for half in halves)
    return train_half, test_half


@lru_cache(maxsize=8)
def studio(schedule: Schedule, number: int) -> tuple[Samples, Samples]:
    """Two takes in a studio that depends on the seed and its number only."""
    rng = np.random.default_rng([schedule.seed, 2, number])
    rig = level_rig(rng, schedule.cameras)
    detector = Detector.random(rng)
    takes = (make_world(rng, rig, schedule.frames, detector, clips=4) for _ in range(2))
    first, second = (Samples.of(take.labelled()) for take in takes)
    return first, second


def meta_gradient(
    start: Fast, halves: tuple[Samples, Samples], schedule: Schedule, rng: np.random.Generator
) -> tuple[float, Fast]:
    """L_test(ω', θ') of one pair, its samples to train and to test on, and its gradient for the start."""
    train_on, test_on = halves
    leaves = (start[0].detach().requires_grad_(), start[1].detach().requires_grad_())
    fast = leaves
    for _ in range(schedule.inner_steps):
        fast = inner_step(fast, train_on, schedule, rng)
    value = pair_loss(fast, test_on, rng, twice=schedule.order == 2)
    by_theta, by_omega = torch.autograd.grad(value, leaves if schedule.order == 2 else fast)
    return value.item(), (by_theta, by_omega)


def inner_step(fast: Fast, batch: Samples, schedule: Schedule, rng: np.random.Generator) -> Fast:
    """θ − α ∇θ L and ω − α ∇ω L on a pair's samples; with first order, cut off from where they came from."""
    second = schedule.order == 2
    by_theta, by_omega = torch.autograd.grad(pair_loss(fast, batch, rng, twice=second), fast, create_graph=second)
    theta, omega = fast[0] - schedule.inner_theta * by_theta, fast[1] - schedule.inner_omega * by_omega
    return (theta, omega) if second else (theta.detach().requires_grad_(), omega.detach().requires_grad_())


def pair_loss(fast: Fast, batch: Samples, rng: np.random.Generator, *, twice: bool = False) -> Tensor:
    """The loss of a pair whose samples have the target first."""
    theta, omega = fast
    model = Model(omega, theta[None], [(0, 1)], default_gains(2), twice)
    return loss(model, batch, {0: target_pixels(batch, 0, rng)})


def manifest(schedule: Schedule, state: State, seconds: float) -> dict[str, Any]:
    """Where a start comes from; the curve is the mean of L_test over equal parts of the training."""
    window = max(1, len(state.curve) // _CURVE_POINTS)
    curve = np.array(state.curve)[: len(state.curve) // window * window].reshape(-1, window).mean(1).round(4)
    return {
        "method": "plain gradient descent" if not schedule.inner_steps else f"Algorithm 1, order {schedule.order}",
        "loss": "mean squared error behind a softmax, T = 0.2; 1 is that of an empty map",
        "schedule": asdict(schedule),
        "curve": {"test_loss": curve.tolist(), "steps_per_point": window},
        "data": "simulated: models.level_studios, models.worlds",
        "seconds": round(seconds, 1),
        "code_version": CODE_VERSION,
        "torch": str(torch.__version__),
    }


def _parsed() -> tuple[argparse.Namespace, Schedule]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedule", choices=SCHEDULES, default="short")
    parser.add_argument("--order", type=int, choices=(1, 2), help="of the meta-gradient")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder that the weights are written to")
    parser.add_argument("--name", help="of the files; by default that of the method")
    parser.add_argument("--state", type=Path, help="a file that the training is resumed from, and saved to on its way")
    arguments = parser.parse_args()
    given = {name: value for name in ("order", "steps", "seed") if (value := getattr(arguments, name)) is not None}
    return arguments, replace(SCHEDULES[arguments.schedule], **given)


def main() -> None:
    """Learn a start, from nothing or from where it was interrupted, and write it with its provenance."""
    arguments, schedule = _parsed()
    path: Path | None = arguments.state
    state = State.load(path, schedule) if path and path.exists() else State.new(schedule)
    started, left = time.monotonic(), range(len(state.curve), schedule.steps)
    ticks = iter(track(left, description="Algorithm 1"))

    def report(step: int, _loss: float) -> None:
        next(ticks)
        if path and (step + 1) % _SAVE_STEPS == 0:
            state.save(path)

    train(state, schedule, report)
    name = arguments.name or _NAMES.get(arguments.schedule, "metafuse_paper")
    save_start(state.start(), arguments.out, name, manifest(schedule, state, time.monotonic() - started))


if __name__ == "__main__":
    main()

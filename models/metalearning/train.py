"""The training loop: θ of every pair is calibrated, so only ω_base and the two rounds' numbers are learned.

The loss is the smooth detection loss, a bounded, differentiable stand-in for 1 − JDR. Mean squared error, the paper's
loss, pays for the energy along the lines and so wants gains too small to find a hidden joint.
"""

import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from models.baselines import default_gains
from models.errors import InvalidOptions
from models.metalearning.draw import Episode, Episodes, stream
from models.metalearning.ranks import Ranks
from models.metalearning.ridge import ridge
from models.metalearning.schedule import Schedule
from models.metalearning.state import State, averaging_start
from models.pair_weights import OmegaBase
from models.torch_fusion import PencilFusion, detection_loss

LIT = 0.05  # while learning, source pixels that no heatmap of an episode has above this are left out

Report = Callable[[State], None]


def train(
    schedule: Schedule, *, ranks: Ranks | None = None, state: State | None = None, workers: int = 0,
    report: Report = lambda _: None,
) -> OmegaBase:  # fmt: skip
    """Learn ω_base, from ``state`` on where there is one; ``report`` is called after every step.

    Each of the processes draws its own share of a step's rigs, and all end with the same parameters. Raises
    InvalidOptions where the rigs of a step cannot be shared equally.
    """
    ranks = ranks or Ranks()
    state = state or State.start(schedule, ranks.device)
    share, odd = divmod(schedule.rigs, ranks.size)
    if odd:
        raise InvalidOptions(f"{schedule.rigs} rigs a step are no multiple of {ranks.size} processes.", at="rigs")
    rest = range(state.step * schedule.rigs + ranks.rank, schedule.steps * schedule.rigs, ranks.size)
    episodes = stream(Episodes(schedule.worlds, schedule.seed), rest, workers)
    while state.step < schedule.steps:
        started = time.monotonic()
        advance(state, episodes, share, ranks)
        state.seconds += time.monotonic() - started
        report(state)
    return state.omega()


def advance(state: State, episodes: Iterator[Episode], count: int, ranks: Ranks) -> None:
    """One step of Adam on the mean loss of the next ``count`` episodes of every process."""
    schedule = state.schedule
    state.optimiser.zero_grad()
    told = torch.zeros(2, device=ranks.device)
    for _ in range(count):
        episode = next(episodes)
        loss, unfused = losses(state, episode, ranks.device)
        (loss / schedule.rigs).backward()  # type: ignore[no-untyped-call]
        told += torch.stack([loss.detach(), unfused]) / schedule.rigs
    ranks.sum([g for g in (state.raw.grad, state.log_rounds.grad) if g is not None] + [told])
    fall = 0.5 * (1 + math.cos(math.pi * state.step / schedule.steps))
    for group, rate in zip(state.optimiser.param_groups, (schedule.learning_rate, schedule.rounds_rate), strict=True):
        group["lr"] = rate * fall
    state.optimiser.step()
    first = averaging_start(schedule)
    if state.step >= first:  # the mean of the later steps forgets the noise of single rigs
        now = (state.raw.detach(), state.log_rounds.detach())
        state.average = [m + p / (schedule.steps - first) for m, p in zip(state.average, now, strict=True)]
    state.curve.append((float(told[0]), float(told[1])))
    state.step += 1


def losses(state: State, episode: Episode, device: str) -> tuple[Tensor, Tensor]:
    """The loss of an episode's fused heatmaps, and of its heatmaps as they are."""
    heatmaps, joints, share = episode.heatmaps.to(device), episode.joints.to(device), state.schedule.relative
    fusion = PencilFusion(episode.rig, device, episode.pencils)
    gains = torch.full((len(fusion.pairs),), default_gains(fusion.views), device=device)
    weights = fusion.weights(ridge(state.raw), pixels=fusion.active(heatmaps, LIT))
    first, second, sharpness = state.log_rounds.exp()
    fused = fusion.fuse(weights, heatmaps, gains, (first, second, sharpness))
    loss = (1 - share) * detection_loss(fused, joints)
    if share:
        loss = loss + share * detection_loss(fused / fused.amax(-1, keepdim=True).clamp_min(1e-6), joints)
    return loss, detection_loss(heatmaps, joints)

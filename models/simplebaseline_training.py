"""Training a SimpleBaseline on labelled views: Gaussian targets, squared error, Adam with two drops of its rate.

The schedule is that of MetaFuse's warm-up (Xie et al., CVPR 2020). After every epoch the whole state is
written under another name and moved into place; a run that was cut short goes on from it as if nothing had happened.
"""

import contextlib
import hashlib
import json
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import CorruptArtifact, DeviceUnavailable, InvalidOptions
from models.heatmap import decode
from models.metrics import half_head_px, jdr
from models.simplebaseline import Architecture, SimpleBaseline, load_body, normalised
from models.simplebaseline_batches import Augmentation, Batch, Epoch, visible
from models.simplebaseline_data import Samples
from models.skeletons import skeleton

Index = NDArray[np.intp]
Curve = list[dict[str, float | None]]


@dataclass(frozen=True)
class Schedule:
    """The paper's defaults; ``drops`` are the epochs from which the learning rate is a tenth of what it was."""

    epochs: int = 30
    drops: tuple[int, ...] = (15, 25)
    learning_rate: float = 1e-3
    batch: int = 32
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or not self.learning_rate > 0:
            raise InvalidOptions("Epochs, batch and learning rate must be above zero.", at="schedule")

    @classmethod
    def of(cls, epochs: int, **other: Any) -> "Schedule":
        """The paper's shape over another number of epochs: drops after half and after five sixths."""
        return cls(epochs=epochs, drops=(ceil(epochs / 2), ceil(epochs * 5 / 6)), **other)

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, the first being 0."""
        return float(self.learning_rate * 0.1 ** sum(epoch >= drop for drop in self.drops))


@dataclass(frozen=True)
class Run:
    """One training: the views, which of them are trained on and held out, the schedule, the network, and where."""

    samples: Samples
    fit: Index
    held_out: Index
    schedule: Schedule = field(default_factory=Schedule)
    architecture: Architecture = field(default_factory=Architecture)
    body: dict[str, Tensor] | None = None
    device: str = "cpu"
    workers: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the result, but for the device."""
        parts: dict[str, Any] = {
            "samples": self.samples.digest, "fit": self.fit.tolist(), "schedule": asdict(self.schedule),
            "architecture": asdict(self.architecture), "body": None if self.body is None else _digest(self.body),
        }  # fmt: skip
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def train(
    run: Run, state: Path, report: Callable[[int, float], None], told: Callable[[dict[str, Any]], None] = lambda _: None
) -> tuple[SimpleBaseline, Curve]:
    """Train, or go on from ``state``; returns the network on the CPU and one row of figures an epoch.

    ``report(epoch, share)`` is called after every step, ``told(row)`` after every epoch. Raises InvalidOptions where
    ``state`` is of another run, CorruptArtifact where it cannot be read, DeviceUnavailable without the device.
    """
    if run.device == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable("cuda was asked for, and torch finds no CUDA device here.")
    with _seeded(run.schedule.seed):
        network = SimpleBaseline(len(skeleton(run.samples.skeleton).joints), run.architecture)
    if run.body is not None:
        load_body(network, run.body)
    network.to(run.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=run.schedule.learning_rate)
    digest = run.digest
    curve = _restore(state, digest, network, optimiser, run.device)
    for epoch in range(len(curve), run.schedule.epochs):
        loss = _one_epoch(run, network, optimiser, epoch, report)
        row = {"epoch": epoch + 1, "rate": run.schedule.rate(epoch), "loss": loss, **validate(run, network)}
        curve.append(row)
        _keep(state, digest, network, optimiser, curve)
        told(row)
    return network.to("cpu").eval(), curve


def _one_epoch(
    run: Run,
    network: SimpleBaseline,
    optimiser: torch.optim.Optimizer,
    epoch: int,
    report: Callable[[int, float], None],
) -> float:
    """Train one epoch; returns its mean loss."""
    schedule = run.schedule
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(epoch)
    views = Epoch(run.samples, run.fit, schedule.augmentation, schedule.seed, epoch).shuffled()
    batches = views.batches(schedule.batch, run.workers)
    total = 0.0
    network.train()
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        for step, batch in enumerate(batches):
            loss = batch_loss(network, batch, run.device)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(batch[0])
            report(epoch, (step + 1) / len(batches))
    return total / len(views)


def batch_loss(network: SimpleBaseline, batch: Batch, device: str = "cpu") -> Tensor:
    """Mean squared error over the pixels of the joints that are labelled and in view."""
    images, targets, weights = (part.to(device) for part in batch)
    error = (network(normalised(images)) - targets).square().mean((2, 3))
    return (error * weights).sum() / weights.sum().clamp(min=1)


def validate(run: Run, network: SimpleBaseline) -> dict[str, float | None]:
    """JDR and median error in heatmap pixels on the held-out views, over labelled joints inside the view.

    The joint is found within half a head of its label (models.metrics), each view being measured by itself.
    """
    if not len(run.held_out):
        return {"jdr": None, "median_px": None}
    found = []
    network.eval()
    with torch.inference_mode():
        for images, *_ in Epoch(run.samples, run.held_out).batches(run.schedule.batch, run.workers):
            found.append(decode(network(normalised(images.to(run.device))).cpu().numpy())[0])
    labels = run.samples.joints_view[run.held_out]
    counted, points = visible(labels), np.concatenate(found)
    head = half_head_px(skeleton(run.samples.skeleton), labels[None])[0]
    error = np.linalg.norm(points - labels, axis=-1)[counted]
    if not error.size:
        return {"jdr": None, "median_px": None}
    return {"jdr": jdr(points, labels, head[:, None], counted), "median_px": float(np.median(error))}


def _keep(path: Path, digest: str, network: SimpleBaseline, optimiser: torch.optim.Optimizer, curve: Curve) -> None:
    """Write the state whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        torch.save(
            {"digest": digest, "network": network.state_dict(), "optimiser": optimiser.state_dict(), "curve": curve},
            file,
        )
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _restore(path: Path, digest: str, network: SimpleBaseline, optimiser: torch.optim.Optimizer, device: str) -> Curve:
    """Take over a state; returns the rows of the epochs that are done, none where there is no state."""
    if not path.exists():
        return []
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if state["digest"] != digest:
            raise InvalidOptions(
                f"{path} is of a run with other images, labels or options: give another --out, or remove it.",
                at=str(path), code="other_run",
            )  # fmt: skip
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise CorruptArtifact(f"{path} is no state of a training: {error}.", at=str(path)) from error
    curve: Curve = state["curve"]
    return curve


def _digest(weights: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, value in sorted(weights.items()):
        found.update(name.encode() + value.contiguous().numpy().tobytes())
    return found.hexdigest()


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's generator at ``seed``, and back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield

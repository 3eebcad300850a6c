"""The state of a training run, in memory and in a file that is there whole or not at all."""

import io
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from models.errors import CorruptArtifact, InvalidOptions
from models.metalearning import ridge
from models.metalearning.schedule import Schedule
from models.pair_weights import OmegaBase


@dataclass
class State:
    """Parameters, optimiser and running means after ``step`` steps; ``curve`` is (loss, loss without fusion) a step."""

    schedule: Schedule
    raw: Tensor
    log_rounds: Tensor
    optimiser: torch.optim.Adam
    average: list[Tensor]
    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def start(cls, schedule: Schedule, device: torch.device | str = "cpu") -> "State":
        """Before the first step."""
        raw, log_rounds = (part.to(device).requires_grad_() for part in ridge.start(schedule.columns))
        groups: list[dict[str, Any]] = [{"params": [raw]}, {"params": [log_rounds]}]
        optimiser = torch.optim.Adam(groups, lr=schedule.learning_rate)
        return cls(schedule, raw, log_rounds, optimiser, [torch.zeros_like(raw), torch.zeros_like(log_rounds)])

    def omega(self) -> OmegaBase:
        """The mean of the parameters over the later steps, or the parameters themselves before those."""
        averaged = self.step > averaging_start(self.schedule)
        raw, log_rounds = self.average if averaged else (self.raw.detach(), self.log_rounds.detach())
        return ridge.omega_base(raw.cpu(), log_rounds.cpu())

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on; the file is replaced in one move."""
        buffer = io.BytesIO()
        torch.save(
            {
                "schedule": asdict(self.schedule),
                "raw": self.raw.detach(),
                "log_rounds": self.log_rounds.detach(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average,
                "step": self.step,
                "seconds": self.seconds,
                "curve": self.curve,
            },
            buffer,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                file.write(buffer.getvalue())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path, schedule: Schedule, device: torch.device | str = "cpu") -> "State":
        """Go on from a file; raises InvalidOptions where it belongs to another schedule, CorruptArtifact if damaged."""
        try:
            stored = torch.load(path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            raise CorruptArtifact(f"{path} is no training state: {error}") from error
        if stored["schedule"] != asdict(schedule):
            raise InvalidOptions(f"{path} is the state of another schedule: {stored['schedule']}.", at="resume")
        state = cls.start(schedule, device)
        with torch.no_grad():
            state.raw.copy_(stored["raw"])
            state.log_rounds.copy_(stored["log_rounds"])
        state.optimiser.load_state_dict(stored["optimiser"])
        state.average, state.step = list(stored["average"]), stored["step"]
        state.seconds, state.curve = stored["seconds"], [tuple(row) for row in stored["curve"]]
        return state


def averaging_start(schedule: Schedule) -> int:
    """The first step whose parameters count in the mean that ships."""
    return min(int(schedule.average_from * schedule.steps), schedule.steps - 1)

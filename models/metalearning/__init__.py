"""Learning ω_base over many rigs: ``python -m models.metalearning`` rebuilds what ships in ``models/weights``."""

from models.metalearning.draw import Episode, Episodes, samples
from models.metalearning.schedule import Schedule, Worlds, read_schedule
from models.metalearning.state import State
from models.metalearning.train import train

__all__ = ["Episode", "Episodes", "Schedule", "State", "Worlds", "read_schedule", "samples", "train"]

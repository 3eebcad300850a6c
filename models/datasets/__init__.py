"""Readers of the paper's three data sets, in the formats their publishers put on the disk.

Each has ``open_dataset(root, cameras, every)``, which gives the recordings to label and those to test.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from models.datasets import human36m, panoptic, totalcapture
from models.datasets.sequence import Dataset

__all__ = ["DATASETS", "EVERY", "open_dataset"]

DATASETS: Mapping[str, Callable[..., Dataset]] = {
    "panoptic": panoptic.open_dataset,
    "human36m": human36m.open_dataset,
    "totalcapture": totalcapture.open_dataset,
}
# Frames between two that are used: 64 and 16 as the paper's predecessors test; Panoptic's is our choice.
EVERY: Mapping[str, int] = {"panoptic": 64, "human36m": 64, "totalcapture": 16}


def open_dataset(
    name: str, root: Path, cameras: int | tuple[str, ...], every: int | None = None, body: int | None = None
) -> Dataset:
    """Read a data set's labels and calibration; images are read when they are asked for. Raises DatasetError."""
    step = EVERY[name] if every is None else every
    if name == "panoptic":
        return panoptic.open_dataset(root, cameras, step, body=body)
    return DATASETS[name](root, cameras, step)

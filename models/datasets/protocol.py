"""The paper's protocol: which frames are labelled and which tested, and the heatmaps of both.

The K labelled frames are the first of one random order of the training recordings' frames, so that 100 frames contain
the 50. Test frames are all that the data set's step leaves, or ``limit`` of them at equal distances.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backbone import Backbone
from models.datasets.heatmap_store import Pick, Stored, shoot
from models.datasets.sequence import Dataset
from models.datasets.shots import Shot, benchmark_rig, shots
from models.errors import DatasetError
from models.labelled import LabelledFrames
from models.rig import Rig

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Plan:
    """``methods``, each with each number of labelled ``frames``, judged on at most ``limit`` test frames."""

    methods: tuple[str, ...]
    frames: tuple[int, ...]
    limit: int | None = None
    seed: int = 0
    device: str = "cpu"
    triangulations: tuple[str, ...] = ("robust", "pictorial")

    @property
    def drawn(self) -> int:
        """Training frames to run the backbone on: a twentieth more than asked for, as some may lack an image."""
        most = max(self.frames, default=0)
        return most + -(-most // 20)


@dataclass(frozen=True)
class Stage:
    """A data set ready to learn from and to test on; ``order`` [N] are the rows of the training heatmaps, shuffled."""

    rig: Rig
    train: tuple[Pick, ...]
    test: tuple[Pick, ...]
    train_heatmaps: Stored | None
    test_heatmaps: Stored
    order: NDArray[np.intp]

    def labelled(self, count: int) -> LabelledFrames:
        """The first ``count`` frames to learn from, in the order of the recordings. Raises DatasetError."""
        if self.train_heatmaps is None or count > len(self.order):
            raise DatasetError(f"{count} labelled frames were asked for; there are {len(self.order)}.", at="frames")
        rows = np.sort(self.order[:count])
        names = np.array([f"{p.shot.sequence.name}:{p.shot.sequence.frames[i]}" for p in self.train for i in p.index])
        labels = np.concatenate([pick.shot.labels[pick.index] for pick in self.train])[rows]
        visibility = np.where(np.isfinite(labels[..., 0]), 2, 0).astype(np.uint8)  # no set says what is hidden
        return LabelledFrames(tuple(names[rows].tolist()), self.train_heatmaps.load(rows), labels, visibility)

    def tests(self) -> Iterator[tuple[Shot, NDArray[np.intp], NDArray[np.intp]]]:
        """Each test recording with its frames' indices and their rows in the test heatmaps, whole frames only."""
        start = 0
        for pick in self.test:
            kept = np.flatnonzero(self.test_heatmaps.whole[start : start + len(pick.index)])
            yield pick.shot, pick.index[kept], start + kept
            start += len(pick.index)


def prepare(
    dataset: Dataset, backbone: Backbone, plan: Plan, folder: Path, *, begin: Advance, advance: Advance
) -> Stage:
    """Choose the frames and run the backbone on their images; heatmaps go to files in ``folder``.

    ``begin(total)`` is told the number of images, ``advance(n)`` that n more are done. Raises DatasetError.
    """
    rig = benchmark_rig(dataset, backbone.skeleton)
    rng = np.random.default_rng(plan.seed)
    train = _picked(shots(rig, dataset.train), lambda total: np.sort(rng.permutation(total)[: plan.drawn]))
    test = _picked(shots(rig, dataset.test), lambda total: _thinned(total, plan.limit))
    if not test:
        raise DatasetError("The recordings to test on have no frame with enough joints in two images.", at=dataset.name)
    begin(len(rig.cameras) * sum(len(pick.index) for pick in (*train, *test)))
    stored = shoot(train, backbone, folder / "train.f16", advance) if train else None
    whole = np.flatnonzero(stored.whole) if stored else np.zeros(0, np.intp)
    test_stored = shoot(test, backbone, folder / "test.f16", advance)
    return Stage(rig, train, test, stored, test_stored, rng.permutation(whole))


def _picked(taken: list[Shot], choose: Callable[[int], NDArray[np.intp]]) -> tuple[Pick, ...]:
    """The frames that ``choose(total)`` names of all usable ones, recording by recording."""
    usable = [shot.usable for shot in taken]
    ends = np.cumsum([len(index) for index in usable])
    chosen = choose(int(ends[-1])) if len(ends) else np.zeros(0, np.intp)
    picks = []
    for shot, index, end in zip(taken, usable, ends, strict=True):
        mine = chosen[(chosen >= end - len(index)) & (chosen < end)] - (end - len(index))
        if len(mine):
            picks.append(Pick(shot, index[mine]))
    return tuple(picks)


def _thinned(total: int, limit: int | None) -> NDArray[np.intp]:
    if limit is None or limit >= total:
        return np.arange(total)
    return np.unique(np.linspace(0, total - 1, limit).round().astype(np.intp))

"""What meta-training sees: episode ``index`` of a seed is one rig, its motion and its detector, always the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.affine import PIXELS
from models.metalearning.schedule import Worlds
from models.motions import MotionLibrary
from models.pencil import Pencil
from models.rig import Rig
from models.torch_fusion import pencils_of
from models.worlds import Detector, World, disturb, make_world, published_rig, random_rig

_TAKES = 3
_LARGE = (9, 31)
PUBLISHED = tuple(f"h36m-s{subject}" for subject in (1, 5, 6, 7, 8))  # the training subjects: 9 and 11 are held out


@dataclass(frozen=True)
class Episode:
    """Heatmaps [V, S, 4096], labels [V, S, 2], and the rig with the pencils of the cameras as they are believed."""

    heatmaps: Tensor
    joints: Tensor
    rig: Rig
    pencils: Sequence[Pencil]


@dataclass(frozen=True)
class Episodes(Dataset[Episode]):
    """Rigs nobody has seen, by their index."""

    worlds: Worlds
    seed: int

    def __getitem__(self, index: int) -> Episode:
        rng = np.random.default_rng((self.seed, index))
        rig = self._rig(rng)
        frames = int(np.clip(round(self.worlds.work / len(rig.pairs)), 1, self.worlds.frames))
        takes = min(_TAKES, frames)
        world = make_world(rng, rig, frames, Detector.random(rng), clips=takes, motion=_library(self.worlds))
        heatmaps, joints = samples(world)
        believed = self._believed(rng, rig)
        return Episode(heatmaps, joints, believed, pencils_of(believed))

    def _rig(self, rng: np.random.Generator) -> Rig:
        kind = rng.random()
        if kind < self.worlds.published:
            return published_rig(str(rng.choice(PUBLISHED)))
        large = kind < self.worlds.published + self.worlds.large
        return random_rig(
            rng, int(rng.integers(_LARGE[0], _LARGE[1] + 1) if large else rng.choice(self.worlds.cameras))
        )

    def _believed(self, rng: np.random.Generator, rig: Rig) -> Rig:
        if rng.random() >= self.worlds.turned:
            return rig
        return disturb(rng, rig, abs(rng.normal(0, self.worlds.turned_degrees)))


@cache
def _library(worlds: Worlds) -> MotionLibrary | None:
    """The motion to draw from, read once a process."""
    return MotionLibrary.open(worlds.motions, procedural=worlds.procedural) if worlds.motions else None


def samples(world: World) -> tuple[Tensor, Tensor]:
    """Heatmaps [V, S, 4096] and labels [V, S, 2] of a world's frames and joints."""
    labelled = world.labelled()
    views = world.heatmaps.shape[1]
    heatmaps = torch.from_numpy(np.ascontiguousarray(labelled.heatmaps.swapaxes(0, 1))).reshape(views, -1, PIXELS)
    joints = torch.from_numpy(labelled.joints_view).float().swapaxes(0, 1).reshape(views, -1, 2)
    return heatmaps, joints


def stream(episodes: Episodes, indices: Sequence[int], workers: int) -> Iterator[Episode]:
    """The episodes of ``indices`` in their order, drawn ahead by ``workers`` processes, or here when there is none."""
    if not workers:
        return (episodes[index] for index in indices)
    loader = DataLoader(
        episodes,
        batch_size=None,
        sampler=indices,
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context="forkserver",  # a forked child would inherit CUDA and threads in any state
    )
    return iter(loader)

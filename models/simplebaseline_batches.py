"""What a training step sees: turned, scaled and mirrored views with their targets, drawn from a seed alone.

Every draw depends on (seed, epoch, view) and nothing else, so a run that is taken up again sees the same images, with
any number of loader processes.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.geometry import INPUT_SIZE
from models.heatmap import HEATMAP_SIZE, render
from models.simplebaseline_data import Samples
from models.skeletons import skeleton

SIGMA: Final = 2.0  # heatmap pixels, as in the paper for 64×64
_STEP: Final = INPUT_SIZE / HEATMAP_SIZE

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Augmentation:
    """The paper's: turns with a deviation of 40° in six of ten views, scales of ±30%, every second view mirrored."""

    rotation: float = 40.0
    turned: float = 0.6
    scale: float = 0.3
    mirrored: float = 0.5

    def apply(
        self, image: NDArray[np.uint8], joints: NDArray[np.float64], flip: tuple[int, ...], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """A changed view [256, 256, 3] and its joints [J, 2]; ``flip`` maps every joint to its mirror image."""
        degrees = float(np.clip(rng.normal(0, self.rotation), -2 * self.rotation, 2 * self.rotation))
        degrees *= rng.random() < self.turned
        scale = float(np.clip(rng.normal(1, self.scale), 1 - self.scale, 1 + self.scale))
        matrix = cv2.getRotationMatrix2D(_middle(joints), degrees, scale)
        if rng.random() < self.mirrored:
            matrix = np.array([[-1, 0, INPUT_SIZE - 1], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
            joints = joints[list(flip)]
        changed = cv2.warpAffine(image, matrix, (INPUT_SIZE, INPUT_SIZE), flags=cv2.INTER_LINEAR)
        moved = to_input(joints) @ matrix[:, :2].T + matrix[:, 2]
        return np.asarray(changed, np.uint8), to_heatmap(moved)


def to_input(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heatmap pixels → pixels of the backbone's input, centres at whole numbers in both."""
    return (points + 0.5) * _STEP - 0.5


def to_heatmap(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels of the backbone's input → heatmap pixels."""
    return (points + 0.5) / _STEP - 0.5


def _middle(joints: NDArray[np.float64]) -> tuple[float, float]:
    """The middle of the person's labelled joints in input pixels, about which views are turned and scaled."""
    known = to_input(joints[np.isfinite(joints).all(-1)])
    x, y = (known.min(0) + known.max(0)) / 2 if len(known) else np.full(2, (INPUT_SIZE - 1) / 2)
    return float(x), float(y)


@dataclass(frozen=True)
class Epoch(Dataset[Batch]):
    """The views at ``index`` in the order and the changes of one epoch; as they are where ``augmentation`` is None."""

    samples: Samples
    index: NDArray[np.intp]
    augmentation: Augmentation | None = None
    seed: int = 0
    number: int = 0

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> Batch:
        """Image uint8 [256, 256, 3], targets float32 [J, 64, 64], weights float32 [J]."""
        place = int(self.index[position])
        image, joints = np.array(self.samples.images[place]), self.samples.joints_view[place]
        if self.augmentation is not None:
            rng = np.random.default_rng((self.seed, self.number, place))
            image, joints = self.augmentation.apply(image, joints, skeleton(self.samples.skeleton).flip, rng)
        weights = visible(joints)
        targets = render(np.where(weights[:, None], joints, np.nan), SIGMA)
        return torch.from_numpy(image), torch.from_numpy(targets), torch.from_numpy(weights.astype(np.float32))

    def shuffled(self) -> "Epoch":
        """The same views in the epoch's own order."""
        order = np.random.default_rng((self.seed, self.number)).permutation(self.index)
        return Epoch(self.samples, order, self.augmentation, self.seed, self.number)

    def batches(self, size: int, workers: int = 0) -> DataLoader[Batch]:
        """Batches of ``size`` in order; the last may be smaller."""
        return DataLoader(self, size, num_workers=workers, generator=torch.Generator().manual_seed(self.seed))


def visible(joints: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Joints [..., 2] that are labelled, hidden ones too, and lie inside the view: those that count [...]."""
    return np.asarray(((joints > -0.5) & (joints < HEATMAP_SIZE - 0.5)).all(-1))

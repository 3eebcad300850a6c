"""One recording of a published data set, in our conventions whatever those of its files are."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.datasets.images import ImageSource
from models.rig import Camera, Rig
from models.skeletons import Skeleton, skeleton

Array = NDArray[np.float64]

LIMBS = tuple(
    f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)


@dataclass(frozen=True)
class Sequence:
    """Synchronised frames of one rig with joints in space.

    ``rig`` has the data set's own joint set and unit, and no volume; ``frames`` [F] are rising frame numbers of the
    images; ``joints`` [F, J, 3] are in the rig's unit and world, NaN where missing; ``damaged`` says in words what is
    wrong with the published recording, and is empty where nothing is.
    """

    name: str
    rig: Rig
    frames: NDArray[np.intp]
    joints: Array
    images: ImageSource
    damaged: str = ""

    def subset(self, index: NDArray[np.intp] | slice) -> "Sequence":
        """The frames at ``index``."""
        return replace(self, frames=self.frames[index], joints=self.joints[index])


@dataclass(frozen=True)
class Dataset:
    """The recordings to take labelled frames from, those to test on, and what was left out and why.

    ``note`` says in words how the two were told apart.
    """

    name: str
    train: tuple[Sequence, ...]
    test: tuple[Sequence, ...]
    left_out: tuple[str, ...] = ()
    note: str = ""


def common_joints(source: Skeleton, target: Skeleton) -> tuple[str, ...]:
    """The joints that two sets mean alike: all of the same set; of different ones, the limbs' joints alone.

    A "nose", "neck" or "pelvis" is another place on the body in each publisher's set.
    """
    return source.joints if source == target else LIMBS


def as_joints(joints: Array, source: str, target: str) -> Array:
    """Joints [F, J, 3] of one joint set in the places of another [F, K, 3], NaN for those that are not common."""
    old, new = skeleton(source), skeleton(target)
    result = np.full((len(joints), len(new.joints), 3), np.nan)
    for name in common_joints(old, new):
        result[:, new.joints.index(name)] = joints[:, old.joints.index(name)]
    return result


def spread(cameras: list[Camera], count: int) -> list[Camera]:
    """``count`` cameras far from each other, the first of the list among them; in the list's order.

    The farthest-point rule on their directions from the middle of all: a deterministic choice that nobody tuned.
    """
    centres = np.stack([camera.centre for camera in cameras])
    rays = centres - centres.mean(0)
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    chosen = [0]
    while len(chosen) < min(count, len(cameras)):
        nearest = np.linalg.norm(rays[:, None] - rays[chosen], axis=-1).min(1)
        chosen.append(int(nearest.argmax()))
    return [cameras[i] for i in sorted(chosen)]

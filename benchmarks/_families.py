"""The rigs that nobody has seen: families of simulated studios, and how each is simulated."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.labelled import LabelledFrames
from models.rig import Rig
from models.studios import panoptic_dome, published_rig
from models.worlds import Detector, World, disturb, make_world, random_rig

SEED = 70_000  # far from the seeds that meta-training draws its studios from
LABEL_NOISE_PX = 0.25
TAKES, TAKE_FRAMES = 10, 6  # of the test frames; takes are what the bootstrap resamples
LABELLED_TAKES = 10


@dataclass(frozen=True)
class Family:
    """``rigs`` rigs of a kind, seen through ``detector``."""

    name: str
    title: str
    build: Callable[[np.random.Generator, int], Rig]
    rigs: int
    detector: Detector


def _human36m(_rng: np.random.Generator, index: int) -> Rig:
    """The four cameras of a test subject, in metres around where the subject stands."""
    return published_rig(f"h36m-s{(9, 11)[index % 2]}")


FAMILIES = {
    family.name: family
    for family in (
        Family("h36m", "Human3.6M's cameras", _human36m, 2, Detector()),
        Family("studio4", "random studios, 4 cameras", lambda rng, _: random_rig(rng, 4), 3, Detector()),
        Family("studio4-fitted", "the same, detector fitted to the real backbone", lambda rng, _: random_rig(rng, 4),
               2, Detector.fitted()),
        Family("studio8", "random studios, 8 cameras", lambda rng, _: random_rig(rng, 8), 1, Detector()),
        Family("dome8", "Panoptic-like dome, 8 cameras", lambda rng, _: panoptic_dome(rng, 8), 1, Detector()),
        Family("studio16", "random studio, 16 cameras", lambda rng, _: random_rig(rng, 16), 1, Detector()),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Studio:
    """One rig of a family: frames to label and frames to test on, of other takes."""

    rig: Rig
    labelled: LabelledFrames
    test: World

    def frames(self, count: int) -> LabelledFrames:
        """``count`` labelled frames, spread over all labelled takes."""
        return self.labelled.subset(np.linspace(0, len(self.labelled.frames) - 1, count).astype(int))

    def sent(self, error: str, index: int) -> Rig:
        """The rig as it is sent: every camera turned by ``error`` degrees, or with poses that mean nothing."""
        if error == "labels":
            return _unposed(self.rig)
        return disturb(np.random.default_rng(SEED + 500 + index), self.rig, float(error))


def studio(family: Family, index: int, frames: int) -> Studio:
    """Rig ``index`` of a family, with ``frames`` frames to label."""
    rng = np.random.default_rng(SEED + index)
    rig = family.build(rng, index)
    learn = make_world(rng, rig, frames, family.detector, clips=LABELLED_TAKES)
    test = make_world(np.random.default_rng(SEED + 900 + index), rig, TAKES * TAKE_FRAMES, family.detector, clips=TAKES)
    return Studio(rig, learn.labelled(rng, LABEL_NOISE_PX), test)


def _unposed(rig: Rig) -> Rig:
    """The rig with extrinsics that tell nothing: one rotation for all, in a ring in the order of their names."""
    angles = np.linspace(0, 2 * np.pi, len(rig.cameras), endpoint=False)
    centres = np.stack([4 * np.cos(angles), 4 * np.sin(angles), np.full(len(angles), 1.5)], axis=1)
    R = np.stack([rig.cameras[0].R] * len(angles))
    poses = replace(rig, up=None, volume=None).with_poses(R, -np.einsum("vij,vj->vi", R, centres / rig.metres_per_unit))
    object.__setattr__(poses, "views", rig.views)  # the heatmaps are cut by the views of the rig itself
    return poses

"""Triangulating a whole body: its limbs decide between what the views propose, and hold what few views see.

Robust triangulation looks at one joint alone; where two of four views are wrong, nothing tells it which. Here all
places where rays of two views meet are candidates, a tree of limbs with known lengths chooses between them (max-sum, as
in the pictorial structure model, but over places instead of a grid), and all joints are then moved together to the
minimum of the Tukey loss of their reprojection and a robust loss of the limbs' lengths, by Levenberg–Marquardt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.consensus import Cameras
from models.heatmap import decode_near
from models.limbs import Limb, limb_tree
from models.posing import SIGMA_PX, Sightings, settle
from models.proposals import Proposals, propose
from models.skeletons import Skeleton
from models.triangulation import INLIER_PX, Triangulation, stated

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

_SLACK_M, _SHARE = 0.04, 0.10  # tolerance of a limb's length while choosing: people differ, and places are coarse
VARIATION_M = (0.02, 0.06)  # tolerance at the end: detectors do not mean bones, so lengths vary
_LIMB_WEIGHT, _WORST = 1.0, 3.0  # in heights of heatmap peaks: a broken limb costs as much as three of them
_UNSEEN_SCORE, _UNSEEN_LIMB = 0.25, 1.5  # a joint may also be nowhere: less than one good view would give
_SIZE_LIMBS, _SIZE_RANGE = 5, 0.2  # limbs that must be seen to tell a person's size, and how far it may be from known
_MIN_KNOWN = 8  # limbs of known length that make a body
_FAINTEST = 0.03


@dataclass(frozen=True)
class Body:
    """A skeleton with the lengths of its limbs, ``lengths`` [L] in world units, NaN where unknown."""

    skeleton: Skeleton
    lengths: Array
    metres_per_unit: float

    @property
    def known(self) -> bool:
        """Whether enough limbs have a length to decide anything."""
        return int(np.isfinite(self.lengths).sum()) >= _MIN_KNOWN

    def tree(self, slack_m: float, share: float) -> list[Limb]:
        """The limbs in a tree, parents first, with the tolerance of their lengths."""
        return limb_tree(self.skeleton, self.lengths, slack_m / self.metres_per_unit, share)


def triangulate_body(P: Array, heatmaps: Array32, fused_peaks: Array, robust: Array, body: Body) -> Triangulation:
    """Joints in space of heatmaps [F, V, J, 64, 64] through P [V, 3, 4], the flat index over frames, then joints.

    ``fused_peaks`` [F, V, J, 2] are where fusion sees them; ``robust`` [F, J, 3] are the joints triangulated one by
    one (NaN for none), which tell how large the person is. A joint that fewer than two views show is NaN.
    """
    frames, views, joints = heatmaps.shape[:3]
    cameras = Cameras.normalised(P)
    maps = heatmaps.swapaxes(1, 2).reshape(frames * joints, views, *heatmaps.shape[3:])
    found = propose(cameras, maps, fused_peaks.swapaxes(1, 2).reshape(-1, views, 2))
    size = _size(robust, body) / cameras.scale
    chosen = choose(found, body.tree(_SLACK_M, _SHARE), size)
    seen = _projected(cameras, chosen.reshape(-1, 3))
    pixels, height = decode_near(maps, np.nan_to_num(seen, nan=-1e3), INLIER_PX)
    trust = np.where(np.isfinite(seen).all(-1) & (height > _FAINTEST), height, 0.0)
    points = settle(cameras, chosen, Sightings(pixels, trust), body.tree(*VARIATION_M), size)
    off = np.linalg.norm(_projected(cameras, points) - pixels, axis=-1)
    used = (trust > 0) & (off < INLIER_PX)
    return stated(cameras, points, used, pixels, trust, sigma_px=np.full(views, SIGMA_PX))


def choose(found: Proposals, tree: Sequence[Limb], size: Array) -> Array:
    """The places [F, J, 3] whose scores less their limbs' faults are highest; NaN for a joint that is nowhere.

    ``found`` runs over frames, then joints; ``size`` [F] is what one world unit of a limb's length measures in the
    places' own.
    """
    frames, count = len(size), found.scores.shape[1]
    places = found.places.reshape(frames, -1, count, 3)
    joints = places.shape[1]
    scores = np.concatenate(
        [found.scores.reshape(frames, joints, count), np.full((frames, joints, 1), _UNSEEN_SCORE)], axis=2
    )
    belief, choice = np.maximum(scores, -1e6), {}
    for limb in reversed(tree):
        total = belief[:, None, limb.child] - _faults(places, limb, size)
        choice[limb.child] = total.argmax(2)
        belief[:, limb.parent] += total.max(2)
    rows = np.arange(frames)
    picked = belief.argmax(2)
    for limb in tree:
        picked[:, limb.child] = choice[limb.child][rows, picked[:, limb.parent]]
    nowhere = np.full((frames, joints, 1, 3), np.nan)
    return np.concatenate([places, nowhere], axis=2)[rows[:, None], np.arange(joints), picked]


def _faults(places: Array, limb: Limb, size: Array) -> Array:
    """What a limb between each two places costs [F, C + 1, C + 1], parents by children, the last being nowhere."""
    parent, child = places[:, limb.parent], places[:, limb.child]
    length = np.linalg.norm(parent[:, :, None] - child[:, None], axis=-1) / size[:, None, None]
    fault = np.square((length - limb.length) / limb.tolerance)
    cost = np.full((len(places), parent.shape[1] + 1, child.shape[1] + 1), _UNSEEN_LIMB)
    cost[:, :-1, :-1] = np.where(np.isfinite(fault), np.minimum(fault, _WORST), _WORST)
    return _LIMB_WEIGHT * cost


def _size(robust: Array, body: Body) -> Array:
    """How large the person is in each frame [F], as a share of the known lengths: the median over limbs, or 1."""
    tree = body.tree(0.0, 0.0)
    length = np.stack([np.linalg.norm(robust[:, x.parent] - robust[:, x.child], axis=1) / x.length for x in tree], 1)
    told = np.isfinite(length).sum(1) >= _SIZE_LIMBS
    size = np.ones(len(robust))
    size[told] = np.nanmedian(length[told], axis=1)
    return np.clip(size, 1 - _SIZE_RANGE, 1 + _SIZE_RANGE)


def _projected(cameras: Cameras, points: Array) -> Array:
    """Pixels [N, V, 2] of points [N, 3]; NaN behind a camera."""
    image = points @ cameras.P[:, :, :3].reshape(-1, 3).T + cameras.P[:, :, 3].reshape(-1)
    image = image.reshape(len(points), -1, 3)
    return image[..., :2] / np.where(image[..., 2:] > 0, image[..., 2:], np.nan)

"""All joints of a body moved together to where views and limbs agree best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.consensus import Cameras, reprojection
from models.limbs import Limb
from models.triangulation import INLIER_PX

Array = NDArray[np.float64]

SIGMA_PX = 0.5  # of a sure sighting, standard deviation in heatmap pixels
_ROBUST = 3.0  # standard deviations at which a limb begins to be doubted
_STEPS = 6
_MIN_DEPTH = 1e-6


@dataclass(frozen=True)
class Sightings:
    """What each view measures of joints: ``pixels`` [N, V, 2], and ``trust`` [N, V], zero for nothing."""

    pixels: Array
    trust: Array


@dataclass(frozen=True)
class _Problem:
    """Pixels [F, J, V, 2] with weights [F, J, V], and limbs.

    ``ends`` [L, J] has 1 at a limb's parent and −1 at its child; ``lengths`` and ``tolerances`` [F, L] are in the
    cameras' own world.
    """

    P: Array
    pixels: Array
    weights: Array
    ends: Array
    lengths: Array
    tolerances: Array

    def evaluate(self, joints: Array) -> tuple[Array, Array, Array]:
        """Loss [F], normal matrices [F, 3J, 3J] and half gradients [F, 3J] at joints [F, J, 3]."""
        frames, count = joints.shape[:2]
        loss, blocks, gradient = self._views(joints)
        pull, outer, pulled = self._limbs(joints)
        ends = np.einsum("lj,lk->ljk", self.ends, self.ends).reshape(len(self.ends), -1)
        normal = (ends.T @ outer.reshape(frames, -1, 9)).reshape(frames, count, count, 3, 3).swapaxes(2, 3)
        each = np.arange(count)
        normal[:, each, :, each] += blocks.swapaxes(0, 1)
        gradient = gradient + self.ends.T @ pulled
        return loss + pull, normal.reshape(frames, 3 * count, 3 * count), gradient.reshape(frames, 3 * count)

    def _views(self, joints: Array) -> tuple[Array, Array, Array]:
        """The Tukey loss of the reprojection: loss [F], blocks [F, J, 3, 3] and half gradients [F, J, 3]."""
        frames, count = joints.shape[:2]
        J, residual, depth = reprojection(
            self.P, joints.reshape(-1, 3), self.pixels.reshape(-1, *self.pixels.shape[2:])
        )
        share = np.square(residual).sum(-1) / INLIER_PX**2
        close = np.where(depth > _MIN_DEPTH, np.maximum(1 - share, 0), 0)
        weights = self.weights.reshape(close.shape)
        loss = (weights * (1 - close**3)).sum(1) * INLIER_PX**2 / 6
        scaled = J * (weights * close**2)[..., None, None]
        blocks = np.einsum("nvki,nvkj->nij", scaled, J).reshape(frames, count, 3, 3)
        gradient = np.einsum("nvki,nvk->ni", scaled, residual).reshape(frames, count, 3)
        return loss.reshape(frames, count).sum(1), blocks, gradient

    def _limbs(self, joints: Array) -> tuple[Array, Array, Array]:
        """The Cauchy loss of the limbs' lengths: loss [F], outer products [F, L, 3, 3] and half gradients [F, L, 3]."""
        between = self.ends @ joints
        length = np.maximum(np.linalg.norm(between, axis=-1), 1e-9)
        fault = (length - self.lengths) / self.tolerances
        doubt = 1 / (1 + np.square(fault / _ROBUST))
        direction = between / (length * self.tolerances)[..., None]
        outer = (direction * doubt[..., None])[..., :, None] * direction[..., None, :]
        loss = 0.5 * _ROBUST**2 * np.log1p(np.square(fault / _ROBUST)).sum(1)
        return loss, outer, direction * (doubt * fault)[..., None]


def settle(cameras: Cameras, start: Array, seen: Sightings, limbs: Sequence[Limb], size: Array) -> Array:
    """Joints [F·J, 3] in the cameras' own world, from ``start`` [F, J, 3]; those that start nowhere stay NaN.

    ``seen`` runs over frames, then joints; ``size`` [F] is what one world unit of a limb's length measures there.
    """
    frames, joints = start.shape[:2]
    nowhere = np.any(np.isnan(start), axis=-1)
    current = _filled(start, limbs)
    weights = seen.trust.reshape(frames, joints, -1) / SIGMA_PX**2
    parents, children, lengths, tolerances = (
        np.array(column) for column in zip(*((x.parent, x.child, x.length, x.tolerance) for x in limbs), strict=True)
    )
    ends = np.eye(joints)[parents] - np.eye(joints)[children]
    pixels = seen.pixels.reshape(frames, joints, -1, 2)
    problem = _Problem(cameras.P, pixels, weights, ends, size[:, None] * lengths, size[:, None] * tolerances)
    damping = np.full(frames, 1e-3)
    state = problem.evaluate(current)
    for _ in range(_STEPS):
        loss, normal, gradient = state
        diagonal = np.einsum("fii->fi", normal)
        damped = damping[:, None] * diagonal + 1e-6 * diagonal.max(1, keepdims=True) + 1e-12
        step = np.linalg.solve(normal + np.eye(3 * joints) * damped[:, None], gradient[..., None])[..., 0]
        proposal = current - step.reshape(current.shape)
        new = problem.evaluate(proposal)
        better = new[0] <= loss
        current = np.where(better[:, None, None], proposal, current)
        state = (
            np.where(better, new[0], loss),
            np.where(better[:, None, None], new[1], normal),
            np.where(better[:, None], new[2], gradient),
        )
        damping = np.where(better, damping * 0.2, damping * 10)
    return np.where(nowhere[..., None], np.nan, current).reshape(-1, 3)


def _filled(start: Array, limbs: Sequence[Limb]) -> Array:
    """Joints that are nowhere at their parents' place, or in the middle of the body: they pull at nothing there."""
    filled = start.copy()
    for limb in limbs:
        missing = np.any(np.isnan(filled[:, limb.child]), axis=-1)
        filled[missing, limb.child] = filled[missing, limb.parent]
    there = np.all(np.isfinite(filled), axis=-1)
    middle = np.where(there[..., None], filled, 0).sum(1) / np.maximum(there.sum(1), 1)[:, None]
    return np.where(there[..., None], filled, middle[:, None])

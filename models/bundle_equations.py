"""The equations of bundle adjustment: residuals, analytic Jacobians, priors and the Schur complement of the points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.rotation import rotation_matrix, rotation_vector, skew

Array = NDArray[np.float64]

_POINT_PRIOR = 10.0  # of that distance: only keeps points on nearly parallel rays from running away
_MIN_DEPTH = 1e-3  # of the scene distance


@dataclass(frozen=True)
class Priors:
    """How far cameras may be off: standard deviations of rotations, in radians, and of centres.

    Centres are in the median distance from camera to scene.
    """

    rotation: float
    centre: float


CALIBRATED = Priors(rotation=float(np.deg2rad(1.5)), centre=0.005)


@dataclass(frozen=True)
class State:
    """Rotations [V, 3, 3], centres [V, 3] and points [N, 3], in a world where the scene is one unit away."""

    R: Array
    centres: Array
    points: Array


@dataclass(frozen=True)
class Problem:
    """What stays fixed: rays [N, V, 2] (0 where unlabelled), 1/σ [N, V] (0 where unlabelled), the cameras as sent."""

    rays: Array
    precision: Array
    prior: State
    priors: Priors = CALIBRATED


@dataclass(frozen=True)
class Normal:
    """The normal equations in blocks: cameras A [6V, 6V], points B [N, 3, 3], mixed W [N, 6V, 3], gradients g, h."""

    A: Array
    B: Array
    W: Array
    g: Array
    h: Array


def residuals(problem: Problem, state: State) -> tuple[Array, Array, Array]:
    """Residuals [N, V, 2] in σ, points in camera frames [N, V, 3], and depth clear of zero [N, V]."""
    y = np.einsum("vij,nvj->nvi", state.R, state.points[:, None] - state.centres)
    depth = np.maximum(y[..., 2], _MIN_DEPTH)
    residual = (y[..., :2] / depth[..., None] - problem.rays) * problem.precision[..., None]
    return residual, y, depth


def _prior_residual(problem: Problem, state: State) -> tuple[Array, Array, Array]:
    """Rotation vectors from the cameras as sent [V, 3], and the whole prior residuals [V, 6] and [N, 3]."""
    turn = rotation_vector(state.R @ problem.prior.R.transpose(0, 2, 1))
    shift = (state.centres - problem.prior.centres) / problem.priors.centre
    drift = (state.points - problem.prior.points) / _POINT_PRIOR
    return turn, np.concatenate([turn / problem.priors.rotation, shift], axis=1), drift


def cost(problem: Problem, state: State, cauchy: float) -> float:
    """The Cauchy loss c²·log(1 + r²/c²) of all labels, and the priors."""
    squared = np.square(residuals(problem, state)[0]).sum(2)
    _, cameras, points = _prior_residual(problem, state)
    return float(cauchy**2 * np.log1p(squared / cauchy**2).sum() + np.square(cameras).sum() + np.square(points).sum())


def jacobians(problem: Problem, state: State) -> tuple[Array, Array, Array]:
    """Residuals [N, V, 2] and their derivatives by (rotation, centre) [N, V, 2, 6] and by point [N, V, 2, 3].

    The rotation increment ω acts on the left: R ← exp(ω)·R, so that ∂y/∂ω = −[y]×, ∂y/∂centre = −R and ∂y/∂X = R.
    """
    residual, y, depth = residuals(problem, state)
    gain = (problem.precision / depth)[..., None]
    slope = np.where((y[..., 2] > _MIN_DEPTH)[..., None], y[..., :2] / depth[..., None], 0)
    by_y = np.zeros((*residual.shape, 3))
    by_y[..., 0, 0] = by_y[..., 1, 1] = gain[..., 0]
    by_y[..., 2] = -gain * slope
    by_rotation = np.cross(y[..., None, :], by_y)  # a·(−[y]×) = (y × a)ᵀ
    by_point = (by_y.transpose(1, 0, 2, 3).reshape(len(state.R), -1, 3) @ state.R).reshape(len(state.R), -1, 2, 3)
    by_point = by_point.transpose(1, 0, 2, 3)
    return residual, np.concatenate([by_rotation, -by_point], axis=3), by_point


def normal_equations(problem: Problem, state: State, cauchy: float) -> Normal:
    """Iteratively reweighted normal equations; the Cauchy weight is 1 / (1 + r²/c²)."""
    residual, by_camera, by_point = jacobians(problem, state)
    root = 1 / np.sqrt(1 + np.square(residual).sum(2) / cauchy**2)
    residual = residual * root[..., None]
    by_camera, by_point = by_camera * root[..., None, None], by_point * root[..., None, None]
    points, views = root.shape
    turn, camera_prior, point_prior = _prior_residual(problem, state)
    prior_J = _prior_jacobian(turn, problem.priors)

    cameras = by_camera.transpose(1, 0, 2, 3).reshape(views, -1, 6)
    blocks = cameras.transpose(0, 2, 1) @ cameras + prior_J.transpose(0, 2, 1) @ prior_J
    A = np.zeros((views, 6, views, 6))
    A[np.arange(views), :, np.arange(views)] = blocks
    along = residual.transpose(1, 0, 2).reshape(views, -1, 1)
    g = (cameras.transpose(0, 2, 1) @ along + prior_J.transpose(0, 2, 1) @ camera_prior[..., None]).ravel()

    stacked = by_point.reshape(points, -1, 3).transpose(0, 2, 1)
    B = stacked @ stacked.transpose(0, 2, 1) + np.eye(3) / _POINT_PRIOR**2
    h = (stacked @ residual.reshape(points, -1, 1))[..., 0] + point_prior / _POINT_PRIOR
    W = sum(by_camera[..., i, :, None] * by_point[..., i, None, :] for i in range(2))
    return Normal(A.reshape(6 * views, -1), B, np.asarray(W).reshape(points, -1, 3), g, h)


def _prior_jacobian(turn: Array, priors: Priors) -> Array:
    """Derivative [V, 6, 6] of the camera prior; of log(exp(ω)·exp(φ)) by ω it is I − [φ]×/2 + [φ]×²/12 + O(φ⁴)."""
    cross = skew(turn)
    J = np.zeros((len(turn), 6, 6))
    J[:, :3, :3] = (np.eye(3) - cross / 2 + cross @ cross / 12) / priors.rotation
    J[:, 3:, 3:] = np.eye(3) / priors.centre
    return J


def schur(normal: Normal, damping: float) -> tuple[Array, Array]:
    """The camera system [6V, 6V] with points eliminated, and W·B⁻¹ [N, 6V, 3]; Marquardt's scaled damping on both."""
    B = normal.B + damping * normal.B * np.eye(3)
    WB = normal.W @ np.linalg.inv(B)
    size = len(normal.A)
    mixed = WB.transpose(1, 0, 2).reshape(size, -1) @ normal.W.transpose(1, 0, 2).reshape(size, -1).T
    return normal.A + damping * np.diag(np.diag(normal.A)) - mixed, WB


def solve(normal: Normal, damping: float) -> tuple[Array, Array]:
    """Steps of the cameras [V, 6] and of the points [N, 3]."""
    S, WB = schur(normal, damping)
    cameras = -np.linalg.solve(S, normal.g - np.einsum("nij,nj->i", WB, normal.h))
    B = normal.B + damping * normal.B * np.eye(3)
    right = normal.h + np.einsum("nij,i->nj", normal.W, cameras)
    return cameras.reshape(-1, 6), -np.linalg.solve(B, right[..., None])[..., 0]


def moved(state: State, cameras: Array, points: Array) -> State:
    """The state after steps of the cameras [V, 6] and of the points [N, 3]."""
    return State(rotation_matrix(cameras[:, :3]) @ state.R, state.centres + cameras[:, 3:], state.points + points)

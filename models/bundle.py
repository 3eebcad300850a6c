"""Repairing a rig's extrinsics from the labels: bundle adjustment held to the cameras as sent.

Maximum a posteriori over every camera's rotation and centre and every labelled point, with a Cauchy loss against gross
label errors and Gaussian priors that hold gauge and scale. Levenberg–Marquardt on the Schur complement of the points:
Hartley & Zisserman, Multiple View Geometry, 2nd ed., appendix 6; Triggs, McLauchlan, Hartley & Fitzgibbon, Bundle
adjustment: a modern synthesis, 2000.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.bundle_equations import (
    CALIBRATED,
    Priors,
    Problem,
    State,
    cost,
    moved,
    normal_equations,
    residuals,
    schur,
    solve,
)
from models.consensus import Cameras, consensus, refine
from models.errors import InsufficientLabels

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MIN_POINTS = 8  # labelled in two views or more; five fix two cameras, the rest test them
_START_SIGMAS = 32.0  # a rotation 2° off moves labels by 8 quarter pixels of the heatmap, in every camera
_CAUCHY = 2.385  # 95% efficient on Gaussian noise
_OUTLIER = 4.0  # labels farther off than this many standard deviations count as gross
_STAGES = 6
_STEPS = 8


@dataclass(frozen=True)
class Repair:
    """Repaired extrinsics R [V, 3, 3], t [V, 3] and points [N, 3] in the world as sent, NaN where not adjusted.

    ``cost_*`` is the robust cost with priors, at the same scale before and after. ``rms_*`` is the reprojection error
    over ``inliers`` [N, V] in standard deviations of a label (at most √2 after, when the labels are as good as
    claimed). ``rotation_std`` [V] in radians and ``centre_std`` [V] in world units tell what is left open.
    """

    R: Array
    t: Array
    points: Array
    inliers: Mask
    cost_before: float
    cost_after: float
    rms_before: float
    rms_after: float
    rotation_std: Array
    centre_std: Array


def repair_extrinsics(R: Array, t: Array, rays: Array, sigma: Array, priors: Priors = CALIBRATED) -> Repair:
    """Adjust every camera to the labels.

    R [V, 3, 3], t [V, 3] with x_cam = R·X + t; rays [N, V, 2] are labels in normalised undistorted image coordinates,
    NaN where unlabelled; ``sigma`` [V] is the standard deviation of a label in the same coordinates; ``priors``
    says how far the cameras may be off. Raises InsufficientLabels.
    """
    labelled: Mask = np.isfinite(rays.sum(axis=2))
    kept = np.flatnonzero(labelled.sum(1) >= 2)
    _require(len(kept), len(R))
    points = _initial_points(R, t, rays[kept], labelled[kept], sigma)
    placed: Mask = np.isfinite(points.sum(axis=1))
    kept, points = kept[placed], points[placed]
    _require(len(kept), len(R))
    centres = -np.einsum("vji,vj->vi", R, t)
    origin, scale = _frame(centres, points)
    seen = labelled[kept]
    start = State(R, (centres - origin) / scale, (points - origin) / scale)
    problem = Problem(np.where(seen[..., None], rays[kept], 0), seen / sigma, start, priors)
    found, cauchy = _anneal(problem, start)
    return _to_world(_report(problem, found, cauchy, kept, labelled), origin, scale)


def _require(points: int, cameras: int) -> None:
    if cameras < 2 or points < _MIN_POINTS:
        raise InsufficientLabels(
            f"Repairing the cameras needs two cameras and {_MIN_POINTS} joints labelled in two views or more; "
            f"there are {cameras} cameras and {points} such joints.",
            at="labels",
        )


def _initial_points(R: Array, t: Array, rays: Array, labelled: Mask, sigma: Array) -> Array:
    """Robust triangulation in units of a label's σ, loose enough for cameras a few degrees off."""
    P = np.concatenate([R, t[..., None]], axis=2)
    P[:, :2] /= sigma[:, None, None]
    cameras = Cameras.normalised(P)
    pixels = np.where(labelled[..., None], rays / sigma[:, None], 0)
    weights = labelled.astype(np.float64)
    start, _, _ = consensus(cameras, pixels, weights, _START_SIGMAS)
    return cameras.to_world(refine(cameras.P, start, pixels, weights, _START_SIGMAS))


def _frame(centres: Array, points: Array) -> tuple[Array, float]:
    """An origin in the scene and the median distance from camera to scene."""
    origin = np.median(points, axis=0)
    measured = float(np.median(np.linalg.norm(centres - origin, axis=1)))
    return origin, measured or 1.0


def _anneal(problem: Problem, state: State) -> tuple[State, float]:
    """Minimise with the Cauchy scale following the labels' own spread down, so that bad cameras can be pulled in."""
    cauchy = np.inf
    for _ in range(_STAGES):
        spread = _spread(problem, state)
        previous, cauchy = cauchy, min(cauchy, _CAUCHY * max(1.0, spread))
        state = _minimise(problem, state, cauchy)
        if cauchy > 0.99 * previous:
            break
    return state, cauchy


def _spread(problem: Problem, state: State) -> float:
    """Robust standard deviation of the residuals in σ: the median length of a 2D Gaussian is 1.177 of it."""
    distance = np.linalg.norm(residuals(problem, state)[0], axis=2)
    return float(np.median(distance[problem.precision > 0])) / 1.177


def _minimise(problem: Problem, state: State, cauchy: float) -> State:
    damping, best = 1e-4, cost(problem, state, cauchy)
    normal = normal_equations(problem, state, cauchy)
    for _ in range(_STEPS):
        proposal = moved(state, *solve(normal, damping))
        new = cost(problem, proposal, cauchy)
        if not new < best:
            damping *= 30
            continue
        done = best - new < 1e-7 * best
        state, best, damping = proposal, new, damping / 10
        if done:
            break
        normal = normal_equations(problem, state, cauchy)
    return state


def _report(problem: Problem, found: State, cauchy: float, kept: NDArray[np.intp], labelled: Mask) -> Repair:
    """What was found, still in the frame of the problem."""
    before, after = (np.linalg.norm(residuals(problem, s)[0], axis=2) for s in (problem.prior, found))
    good = (problem.precision > 0) & (after < _OUTLIER * cauchy / _CAUCHY)
    inliers = np.zeros(labelled.shape, bool)
    inliers[kept] = good
    points = np.full((len(labelled), 3), np.nan)
    points[kept] = found.points
    variance = np.diag(np.linalg.inv(schur(normal_equations(problem, found, cauchy), 0.0)[0])).reshape(-1, 6)
    return Repair(
        R=found.R,
        t=-np.einsum("vij,vj->vi", found.R, found.centres),
        points=points,
        inliers=inliers,
        cost_before=cost(problem, problem.prior, cauchy),
        cost_after=cost(problem, found, cauchy),
        rms_before=_rms(before, good),
        rms_after=_rms(after, good),
        rotation_std=np.sqrt(variance[:, :3].sum(1)),
        centre_std=np.sqrt(variance[:, 3:].sum(1)),
    )


def _to_world(repair: Repair, origin: Array, scale: float) -> Repair:
    """From the problem's frame to the world as sent: X_world = origin + scale · X."""
    return replace(
        repair,
        t=scale * repair.t - repair.R @ origin,
        points=origin + scale * repair.points,
        centre_std=scale * repair.centre_std,
    )


def _rms(distance: Array, mask: Mask) -> float:
    return float(np.sqrt(np.square(distance[mask]).mean())) if mask.any() else float("nan")

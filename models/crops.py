"""Crops that follow the person: precision that does not depend on how much of the image the person fills.

Two passes. The first, through the rig's fixed views, finds the person; the second looks at each camera's image through
a square window around the person, upright where the rig knows what is up, and fuses there. The fusion that was learned
for the fixed views is carried to the windows in closed form (models.pencil), so nothing is learned again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import geometry
from models.poses import Poses, Told, quiet
from models.rig import Camera, Rig
from models.runtime import Engine
from models.views import HEATMAP_SIZE, View, upright

Array = NDArray[np.float64]
See = Callable[[Sequence[View]], NDArray[np.floating]]
"""Heatmaps [V, J, 64, 64] of one frame, each camera seen through the view given for it."""

_REACH_M = 1.5  # no joint is farther from the middle joint of its person
_CORNERS = np.array([[0.0, 0], [63, 0], [0, 63], [63, 63]])
_ALIKE_PX = 8.0  # another pass would see hardly more
_SURE = 0.3  # height of a fused peak that places a joint which is not known in space


@dataclass(frozen=True)
class CropOptions:
    """How windows are cut.

    ``margin`` is added on each side, as a share of the person's box, and up to ``slack`` more, the fewer joints three
    views agree on: what is found so far may then be only half of the person, or of two. A window shows at least
    ``least_m`` metres where the distance is known, magnifies the fixed view at most ``max_zoom`` times and never makes
    it smaller. Fewer than a share ``found`` of all joints are no person. At most ``passes`` follow the first one.
    """

    margin: float = 0.12
    slack: float = 0.4
    least_m: float = 0.8
    max_zoom: float = 8.0
    found: float = 0.3
    upright: bool = True
    passes: int = 3


DEFAULT = CropOptions()


def follow(
    engine: Engine,
    see: See,
    triangulation: str = "robust",
    options: CropOptions = DEFAULT,
    *,
    keep: bool = True,
    told: Told = quiet,
) -> Poses:
    """The poses of one frame [F = 1], by crops of the person; by the fixed views where there is nobody to be found."""
    views = engine.rig.views
    poses = engine.poses(see(views)[None], triangulation, keep=keep, told=told)
    for _ in range(options.passes):
        wanted = person_views(engine, poses, options)
        if all(_alike(*both) for both in zip(wanted, views, strict=True)):
            break
        views = wanted
        poses = engine.seeing(views).poses(see(views)[None], triangulation, keep=keep, told=told)
    return poses


def _alike(wanted: View, shown: View) -> bool:
    """Whether one view shows what another does: none of its corners lies more than a few pixels elsewhere."""
    corners = _CORNERS - (wanted.apply(shown.invert(_CORNERS)))
    return bool(np.linalg.norm(corners, axis=1).max() <= _ALIKE_PX)


def person_views(engine: Engine, poses: Poses, options: CropOptions = DEFAULT) -> tuple[View, ...]:
    """Per camera, the window around the person of one frame's poses, or the very view of the rig where it is not seen.

    Joints that are known in space say where to look in every camera, also in those that did not see them.
    """
    rig, peaks = engine.rig, _peaks(poses)
    agreed = float((poses.views_used[0] >= min(3, len(rig.cameras))).mean())
    margin = options.margin + options.slack * (1 - agreed)
    person = _Person.of(poses.pose3d[0], rig, options.found)
    chosen = []
    for index, (camera, fixed) in enumerate(zip(engine.cameras.cameras, rig.views, strict=True)):
        points, metre = (peaks[index], 0.0) if person is None else person.seen(camera, peaks[index])
        points = points[np.isfinite(points).all(1)]
        if len(points) < max(2.0, options.found * peaks.shape[1]):
            chosen.append(fixed)
            continue
        turn = _turn(camera, fixed, rig.up if options.upright else None, np.median(points, axis=0))
        chosen.append(_window(fixed, turn, points, (1 + 2 * margin, options.least_m * metre), options.max_zoom))
    return tuple(chosen)


def _peaks(poses: Poses) -> Array:
    """The sure 2D joints [V, J, 2] of one frame in normalised undistorted coordinates, NaN where not sure."""
    seen = [View(K).invert(points) for K, points in zip(poses.view[0], poses.joints_view[0], strict=True)]
    return np.where(poses.confidence2d[0, ..., None] >= _SURE, np.stack(seen), np.nan)


@dataclass(frozen=True)
class _Person:
    """Joints in space [J, 3], NaN where not known, their middle [3], and the length of a metre."""

    joints: Array
    middle: Array
    metre: float

    @classmethod
    def of(cls, joints: Array, rig: Rig, found: float) -> "_Person | None":
        """The person to whom most joints belong; None where too few are known."""
        metre = 1 / rig.metres_per_unit
        known = np.isfinite(joints).all(1)
        if known.sum() < found * len(joints):
            return None
        middle = np.median(joints[known], axis=0)
        near = np.linalg.norm(joints - middle, axis=1) <= _REACH_M * metre  # not where NaN
        return cls(np.where(near[:, None], joints, np.nan), middle, metre)

    def seen(self, camera: Camera, peaks: Array) -> tuple[Array, float]:
        """Where a camera sees the joints [J, 2], and how long a metre is there, in normalised coordinates.

        A joint not known in space is where its peak [J, 2] is, if that may belong to this person.
        """
        P = np.column_stack([camera.R, camera.t])[None]
        centre, depth = geometry.project(P, self.middle[None])[0, 0], camera.R[2] @ self.middle + camera.t[2]
        if depth <= 0:
            return np.full_like(peaks, np.nan), 0.0
        metre = self.metre / float(depth)
        projected = geometry.project(P, self.joints)[:, 0]
        near = np.linalg.norm(peaks - centre, axis=1) <= _REACH_M * metre
        return np.where(np.isfinite(projected), projected, np.where(near[:, None], peaks, np.nan)), metre


def _turn(camera: Camera, fixed: View, up: Array | None, centre: Array) -> Array:
    """The window's rotation [2, 2]: upright at ``centre`` [2], or that of the fixed view where ``up`` is not known."""
    return fixed.K[:2, :2] / fixed.scale if up is None else upright(camera, up, centre)


def _window(fixed: View, turn: Array, points: Array, room: tuple[float, float], max_zoom: float) -> View:
    """The square window around points [N, 2]; ``room`` is its side in sides of their box, and its least side."""
    turned = points @ turn.T
    low, high = turned.min(0), turned.max(0)
    side = max(float((high - low).max()) * room[0], room[1], 1e-9)
    scale = float(np.clip(HEATMAP_SIZE / side, fixed.scale, max_zoom * fixed.scale))
    K = np.eye(3)
    K[:2, :2] = scale * turn
    K[:2, 2] = (HEATMAP_SIZE - 1) / 2 - scale * (low + high) / 2
    return View(K)

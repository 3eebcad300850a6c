"""What a person's body says about the world: how long a metre is, which way is up, and where the floor is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import InsufficientLabels
from models.rig import Rig

Array = NDArray[np.float64]

ADULT_HEIGHT_M = 1.65  # women 1.59 m and men 1.71 m, born 1996, world-wide: NCD-RisC, eLife 5:e13410, 2016
_SEGMENTS = {  # lengths as shares of the body's height: Drillis & Contini 1966, in Winter, Biomechanics, fig. 4.1
    ("hip", "knee"): 0.245,
    ("knee", "ankle"): 0.246,
    ("shoulder", "elbow"): 0.186,
    ("elbow", "wrist"): 0.146,
}
_SIDES = ("left_", "right_")


@dataclass(frozen=True)
class Gauge:
    """A similarity of the world: X' = scale · rotation · (X − origin)."""

    scale: float
    rotation: Array
    origin: Array

    def applied(self, R: Array, t: Array) -> tuple[Array, Array]:
        """Extrinsics R [V, 3, 3], t [V, 3] in the new world; pixels stay where they are."""
        return R @ self.rotation.T, self.scale * (R @ self.origin + t)

    def moved(self, points: Array) -> Array:
        """Points [..., 3] in the new world."""
        return self.scale * (points - self.origin) @ self.rotation.T


def gauge_of(
    poses: Array, centres: Array, rig: Rig, *, body_height_m: float = ADULT_HEIGHT_M, first_distance: float = 0.0
) -> Gauge:
    """The similarity from a world of poses [F, J, 3] (NaN where missing) and camera centres [V, 3] to the rig's own.

    The new world has the rig's unit, its origin between the feet (median of the ankles), up along ``rig.up`` (or z)
    and the first camera straight ahead. Scale: ``first_distance`` between the first two cameras in the rig's unit, or
    where it is 0 the proportions of a body of ``body_height_m`` metres. Raises InsufficientLabels where no frame has
    ankles and shoulders in space, or none a whole limb.
    """
    names = list(rig.skeleton.joints)
    sides = {part: [names.index(side + part) for side in _SIDES] for part in ("ankle", "shoulder")}
    feet, top = poses[:, sides["ankle"]].mean(1), poses[:, sides["shoulder"]].mean(1)
    standing = np.isfinite(feet + top).all(1)
    if not standing.any():
        raise InsufficientLabels(
            "No frame has both ankles and both shoulders in space, which tell where the floor is and which way is up.",
            at="labels",
        )
    lean = (top - feet)[standing]
    up = np.median(lean / np.linalg.norm(lean, axis=1, keepdims=True), axis=0)
    origin = np.median(feet[standing], axis=0)
    if first_distance > 0:
        scale = first_distance / float(np.linalg.norm(centres[1] - centres[0]))
    else:
        scale = _metres(poses, names, body_height_m) / rig.metres_per_unit
    target = np.array([0.0, 0.0, 1.0]) if rig.up is None else np.asarray(rig.up, np.float64)
    return Gauge(scale, _turn(up, centres[0] - origin, target), origin)


def _metres(poses: Array, names: list[str], height_m: float) -> float:
    """Metres in one unit of poses [F, J, 3]: the median over segments of what each of them says."""
    ratios = []
    for (a, b), share in _SEGMENTS.items():
        length = [
            np.linalg.norm(poses[:, names.index(side + a)] - poses[:, names.index(side + b)], axis=1) for side in _SIDES
        ]
        seen = np.concatenate(length)
        seen = seen[np.isfinite(seen)]
        if len(seen):
            ratios.append(share * height_m / float(np.median(seen)))
    if not ratios:
        raise InsufficientLabels(
            "No arm or leg has both ends in space, so that the labels do not tell the scale: "
            "give the distance of the first two cameras.",
            at="labels",
        )
    return float(np.median(ratios))


def _turn(up: Array, ahead: Array, target: Array) -> Array:
    """The rotation that takes ``up`` to ``target`` and the level part of ``ahead`` to a fixed level axis."""
    return _frame(target, _level_axis(target)).T @ _frame(up, ahead)


def _level_axis(up: Array) -> Array:
    """The coordinate axis that is most level: x where z is up."""
    return np.eye(3)[int(np.abs(up).argmin())]


def _frame(up: Array, ahead: Array) -> Array:
    """Rows [3, 3]: the level part of ``ahead``, what is left of it, and ``up``."""
    z = up / np.linalg.norm(up)
    x = ahead - (ahead @ z) * z
    if np.linalg.norm(x) < 1e-6 * np.linalg.norm(ahead):
        x = np.cross(z, np.eye(3)[int(np.abs(z).argmin())])
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])

"""Which convention the poses are written in, found by asking of each reading: do the cameras look at a common place?

A rotation may be written world-to-camera, as here, or camera-to-world; ``t`` may be the translation or the camera's
centre; a camera's axes may be OpenCV's (y down, z forward) or OpenGL's (y up, z backward). Read wrongly, cameras that
stand about a studio look out of it, or all stand in one heap; read rightly, their axes meet in front of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_OPENGL = np.diag([1.0, -1.0, -1.0])
_WIDE = np.radians(40.0)  # directions of view so far apart fix a point in space well
_AIMED = np.radians(12.0)  # cameras of a studio are aimed about so well at its middle


@dataclass(frozen=True)
class Reading:
    """One way to read R and t."""

    name: str
    rotation_is_inverse: bool = False
    t_is_centre: bool = False
    is_opengl: bool = False

    def apply(self, R: Array, t: Array) -> tuple[Array, Array]:
        """The poses [V, 3, 3] and [V, 3] as world-to-camera in OpenCV's axes."""
        turned = R.swapaxes(1, 2) if self.rotation_is_inverse else R
        centres = t if self.t_is_centre else -np.einsum("vji,vj->vi", turned, t)
        if self.is_opengl:
            turned = _OPENGL @ turned
        return turned, -np.einsum("vij,vj->vi", turned, centres)


AS_WRITTEN = Reading("world-to-camera")
OTHERS = (
    Reading("camera-to-world", rotation_is_inverse=True, t_is_centre=True),
    Reading("OpenGL axes", is_opengl=True),
    Reading("camera-to-world in OpenGL axes", rotation_is_inverse=True, t_is_centre=True, is_opengl=True),
    Reading("centres instead of translations", t_is_centre=True),
    Reading("rotations camera-to-world", rotation_is_inverse=True),
    Reading("centres instead of translations, in OpenGL axes", t_is_centre=True, is_opengl=True),
    Reading("rotations camera-to-world, in OpenGL axes", rotation_is_inverse=True, is_opengl=True),
)


@dataclass(frozen=True)
class Meeting:
    """Where cameras look together: the place, which see it, how far it is off their axes, and how it is surrounded.

    ``quality`` is 1 where all cameras are aimed at the place from directions far apart, and near 0 where they are not.
    """

    place: Array
    seen: NDArray[np.bool_]
    quality: float


def meeting(R: Array, t: Array, half_angles: Array, known: Sequence[Array] = ()) -> Meeting:
    """The place that the cameras look at together, best among where their axes pass each other and what is known."""
    centres, axes = -np.einsum("vji,vj->vi", R, t), R[:, 2]
    places = np.concatenate([_passings(centres, axes), np.reshape(np.array([*known]), (-1, 3))])
    rays = places[:, None] - centres
    distances = np.linalg.norm(rays, axis=-1)
    rays = rays / np.maximum(distances, 1e-12)[..., None]
    off = np.arccos(np.clip(np.einsum("pvi,vi->pv", rays, axes), -1, 1))
    seen = (off < half_angles) & (distances > 1e-6 * np.maximum(distances.max(), 1e-12))
    aimed = np.where(seen, np.exp(-0.5 * (off / _AIMED) ** 2), 0.0).mean(1)
    cosines = np.clip(np.einsum("pvi,pwi->pvw", rays, rays), -1, 1)
    count = len(R)
    apart = np.arccos(np.abs(cosines)).sum((1, 2)) / (count * (count - 1))
    quality = aimed * np.minimum(1.0, apart / _WIDE)
    best = int(quality.argmax())
    return Meeting(places[best], seen[best], float(quality[best]))


def _passings(centres: Array, axes: Array) -> Array:
    """Where each two axes pass each other nearest [N, 3], and the place nearest to all of them."""
    first, second = np.triu_indices(len(centres), 1)
    u, v, gap = axes[first], axes[second], centres[second] - centres[first]
    cosine = np.einsum("ni,ni->n", u, v)
    sine2 = np.maximum(1 - cosine**2, 1e-6)
    along_u, along_v = np.einsum("ni,ni->n", gap, u), np.einsum("ni,ni->n", gap, v)
    s = (along_u - cosine * along_v) / sine2
    r = (cosine * along_u - along_v) / sine2
    middles = (centres[first] + s[:, None] * u + centres[second] + r[:, None] * v) / 2
    across = np.eye(3) - axes[:, :, None] * axes[:, None]
    system = across.sum(0) + 1e-9 * np.eye(3)
    nearest = np.linalg.solve(system, np.einsum("vij,vj->i", across, centres))
    return np.concatenate([middles, nearest[None]])

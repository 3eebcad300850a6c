"""Seeded synthetic worlds: random studios, random motion and a simulated single-view detector.

The detector's faults are those that multi-view fusion exists for: where another part of the body, or a prop, hides a
joint, the peak at the truth fades and a confident peak stands somewhere else: on the same joint of the other side, on a
neighbouring joint, or on nothing at all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models import geometry, heatmap
from models.labelled import LabelledFrames
from models.motion import random_motion
from models.rig import Camera, Rig

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Detector:
    """What the simulated detector gets wrong.

    ``hidden`` is the share of joints hidden a view; ``noise`` the error of a visible joint in heatmap pixels (Student's
    t with 4 degrees of freedom); ``sigma`` the range of a peak's spread in heatmap pixels and ``height`` of its height;
    ``miss`` the chance that a hidden joint leaves no peak at its true place, ``ghost`` that it makes a confident one
    elsewhere, ``clutter`` that a visible joint's map has a second, lower peak.
    """

    hidden: float = 0.2
    noise: float = 0.35
    sigma: tuple[float, float] = (1.3, 2.2)
    height: tuple[float, float] = (0.55, 0.95)
    miss: float = 0.6
    ghost: float = 0.85
    clutter: float = 0.25

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Detector":
        """A detector with habits of its own, for training on more than one."""
        low = rng.uniform(1.0, 1.8)
        return cls(
            hidden=rng.uniform(0.08, 0.35),
            noise=rng.uniform(0.15, 0.6),
            sigma=(low, low + rng.uniform(0.1, 0.9)),
            height=(rng.uniform(0.35, 0.65), rng.uniform(0.75, 1.0)),
            miss=rng.uniform(0.3, 0.9),
            ghost=rng.uniform(0.6, 1.0),
            clutter=rng.uniform(0.05, 0.4),
        )


@dataclass(frozen=True)
class World:
    """A rig, the truth in it, and what the detector saw.

    ``joints_world`` [F, J, 3] in the rig's unit; ``joints_view`` [F, V, J, 2] true heatmap pixels, NaN behind a camera;
    ``hidden`` [F, V, J]; ``heatmaps`` [F, V, J, 64, 64].
    """

    rig: Rig
    joints_world: Array
    joints_view: Array
    hidden: NDArray[np.bool_]
    heatmaps: NDArray[np.float32]

    def labelled(self, rng: np.random.Generator | None = None, noise: float = 0.0) -> LabelledFrames:
        """The frames with labels inside the view, off by ``noise`` heatmap pixels (standard deviation)."""
        inside = np.all(np.abs(self.joints_view - (heatmap.HEATMAP_SIZE - 1) / 2) < heatmap.HEATMAP_SIZE / 2, axis=-1)
        joints = np.where(inside[..., None], self.joints_view, np.nan)
        if rng is not None and noise > 0:
            joints = joints + rng.normal(0, noise, joints.shape)
        visibility = np.where(inside, np.where(self.hidden, 1, 2), 0).astype(np.uint8)
        names = tuple(f"{i:06d}" for i in range(len(joints)))
        return LabelledFrames(names, self.heatmaps, joints, visibility)


def make_world(
    rng: np.random.Generator, rig: Rig, frames: int, detector: Detector | None = None, *, clips: int = 1
) -> World:
    """Simulate ``frames`` frames of random motion, in ``clips`` takes, seen by ``rig`` through ``detector``."""
    lengths = np.diff(np.linspace(0, frames, clips + 1).astype(int))
    motion = [random_motion(rng, int(length), rig.skeleton) for length in lengths if length]
    joints = np.concatenate(motion) / rig.metres_per_unit
    flat = joints.reshape(-1, 3)
    points = geometry.project(rig.projections(), flat).reshape(*joints.shape[:2], -1, 2).swapaxes(1, 2)
    detector = detector or Detector()
    hidden = occlusion(rng, rig, joints, detector.hidden)
    return World(rig, joints, points, hidden, detect(rng, rig, points, hidden, detector))


def occlusion(rng: np.random.Generator, rig: Rig, joints: Array, share: float) -> NDArray[np.bool_]:
    """Which joints are hidden [F, V, J]: those behind the body's own limbs, and others at random up to ``share``.

    Self-occlusion is geometric, a limb being three balls of 7 cm; a share that is then still missing is hidden at
    random by props.
    """
    radius = 0.07 / rig.metres_per_unit
    centres = np.stack([camera.centre for camera in rig.cameras])
    own = np.zeros((len(joints), len(centres), joints.shape[1]), bool)
    for a, b in rig.skeleton.limbs:
        middle, half = (joints[:, a] + joints[:, b]) / 2, (joints[:, b] - joints[:, a]) / 2
        for step in (-0.6, 0.0, 0.6):
            own |= _behind(middle + step * half, joints, centres, radius, (a, b))
    keep = rng.random(own.shape) < min(1.0, 0.7 * share / max(own.mean(), 1e-6))
    own &= keep
    missing = max(0.0, (share - own.mean()) / max(1 - own.mean(), 1e-6))
    return own | (rng.random(own.shape) < missing)


def _behind(part: Array, joints: Array, centres: Array, radius: float, limb: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether a ball ``part`` [F, 3] hides joints [F, J, 3] from centres [V, 3]; a limb hides not its own ends."""
    rays = joints[:, None] - centres[None, :, None]
    length = np.linalg.norm(rays, axis=-1)
    to_part = (part[:, None] - centres)[:, :, None]
    along = (rays * to_part).sum(-1) / length
    off = np.sqrt(np.maximum((to_part**2).sum(-1) - along**2, 0))
    hides = (off < radius) & (along < length - 2 * radius) & (along > 0)
    hides[..., list(limb)] = False
    return hides


def detect(
    rng: np.random.Generator, rig: Rig, points: Array, hidden: NDArray[np.bool_], detector: Detector
) -> NDArray[np.float32]:
    """Heatmaps [F, V, J, 64, 64] of a simulated detector for true points [F, V, J, 2]."""
    shape = hidden.shape
    sigma = rng.uniform(*detector.sigma, shape)
    height = rng.uniform(*detector.height, shape)
    error = detector.noise * rng.standard_t(4, points.shape) / np.sqrt(2)
    faded = np.where(rng.random(shape) < detector.miss, 0.0, rng.uniform(0.05, 0.45, shape))
    peak = np.where(hidden, faded * height, height)
    maps = peak[..., None, None] * heatmap.render(points + error * np.where(hidden, 2.0, 1.0)[..., None], sigma)
    wrong = np.where(
        hidden & (rng.random(shape) < detector.ghost), rng.uniform(*detector.height, shape) * 0.85,
        np.where(rng.random(shape) < detector.clutter, rng.uniform(0.05, 0.4, shape), 0.0),
    )  # fmt: skip
    ghosts = heatmap.render(_ghosts(rng, rig, points), sigma)
    maps = np.maximum(maps, wrong[..., None, None].astype(np.float32) * ghosts)
    maps += np.abs(rng.normal(0, 0.01, maps.shape)).astype(np.float32)
    return np.clip(maps, 0, 1).astype(np.float32)


def _ghosts(rng: np.random.Generator, rig: Rig, points: Array) -> Array:
    """Where a mistaken peak stands [F, V, J, 2]: the other side's joint, a neighbour's, or a random place nearby."""
    flip = np.array(rig.skeleton.flip)
    neighbour = rng.permutation(points.shape[2])
    for a, b in rig.skeleton.limbs:
        neighbour[a], neighbour[b] = b, a
    kind = rng.random(points.shape[:3])[..., None]
    nearby = points + rng.normal(0, 7, points.shape)
    beside = points[:, :, neighbour] + rng.normal(0, 1.5, points.shape)
    mirrored = points[:, :, flip] + rng.normal(0, 0.7, points.shape)
    centre_joint = (flip == np.arange(len(flip)))[:, None]
    return np.where((kind < 0.4) & ~centre_joint, mirrored, np.where(kind < 0.6, beside, nearby))


def random_rig(rng: np.random.Generator, cameras: int, *, joints: str = "coco17") -> Rig:
    """A studio nobody has seen: cameras on a ring, in the corners or over a dome, tilted, rolled and differing."""
    layout = rng.choice(["ring", "corners", "dome"])
    radius, first = rng.uniform(2.8, 6.0), rng.uniform(0, 360)
    placed = []
    for index in range(cameras):
        azimuth = first + 360 * (index + rng.uniform(-0.25, 0.25)) / cameras
        if layout == "dome":
            azimuth, height = rng.uniform(0, 360), rng.uniform(0.4, 1.0) * radius
        else:
            height = rng.uniform(0.9, 2.8)
        distance = radius * rng.uniform(0.85, 1.15)
        if layout == "corners":
            distance *= np.sqrt(2) if index % 2 == 0 else 1.2
        position = np.array([distance * np.cos(np.radians(azimuth)), distance * np.sin(np.radians(azimuth)), height])
        placed.append(_random_camera(rng, f"cam{index + 1:02d}", position))
    volume = (np.array([-1.7, -1.7, 0.0]), np.array([1.7, 1.7, 2.1])) if rng.random() < 0.7 else None
    up = np.array([0.0, 0.0, 1.0]) if rng.random() < 0.5 else None
    return Rig(tuple(placed), joints, "m", up, volume)


def _random_camera(rng: np.random.Generator, camera_id: str, position: Array) -> Camera:
    target = np.array([*rng.normal(0, 0.25, 2), rng.uniform(0.7, 1.2)])
    R = Rotation.from_euler("z", rng.normal(0, 6), degrees=True).as_matrix() @ look_at(position, target)
    width, height = ((1920, 1080), (1000, 1000), (1080, 1920), (2048, 1536))[rng.integers(4)]
    reach = np.linalg.norm(position - target)
    view_angle = np.clip(2 * np.degrees(np.arctan(rng.uniform(1.3, 2.2) / reach)), 35, 110)
    focal = min(width, height) / 2 / np.tan(np.radians(view_angle) / 2)
    K = np.array([[focal, 0, width / 2 + rng.normal(0, 8)], [0, focal * rng.normal(1, 0.002), height / 2], [0, 0, 1]])
    corner = max(1.0, (width**2 + height**2) / (2 * focal) ** 2)  # squared tangent: a wide lens bends less per tangent
    dist = np.array(
        [rng.uniform(-0.15, 0.05) / corner, rng.uniform(-0.02, 0.04) / corner**2, *rng.normal(0, 5e-4, 2), 0]
    )
    return Camera(camera_id, width, height, K, R, -R @ position, dist)


def look_at(position: Array, target: Array) -> Array:
    """Rotation [3, 3] world → camera of an upright camera (world z up) at ``position`` that looks at ``target``."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def disturb(rng: np.random.Generator, rig: Rig, degrees: float, centimetres: float = 0.0) -> Rig:
    """The rig as a careless calibration would report it: every camera turned by ``degrees`` about a random axis."""
    turned, shifted = [], []
    for camera in rig.cameras:
        axis = rng.standard_normal(3)
        R = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix() @ camera.R
        step = rng.standard_normal(3)
        centre = camera.centre + step / np.linalg.norm(step) * centimetres * 0.01 / rig.metres_per_unit
        turned.append(R)
        shifted.append(-R @ centre)
    return rig.with_poses(np.stack(turned), np.stack(shifted))

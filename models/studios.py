"""Studios: random ones that nobody has seen, a Panoptic-like dome, Human3.6M's cameras, and careless calibration."""

import json
from collections.abc import Callable
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.errors import InvalidInput
from models.rig import Camera, Rig

Array = NDArray[np.float64]

UP: Final = np.array([0.0, 0.0, 1.0])
VOLUME_M: Final = (np.array([-1.7, -1.7, 0.0]), np.array([1.7, 1.7, 2.1]))
_SIZES: Final = ((1920, 1080), (1000, 1000), (1080, 1920), (2048, 1536), (1280, 720), (3840, 2160))
_LENSES: Final = (35.0, 110.0)  # degrees across the shorter side of the image
_APART_M: Final = 0.25
_HD_CAMERAS: Final = 31


def random_rig(rng: np.random.Generator, cameras: int, *, joints: str = "coco17") -> Rig:
    """A studio nobody has seen: ring, arc, corners, two storeys or dome; tilted, rolled and differing cameras.

    The lens decides how far the cameras stand; they look about the origin, where the motion is, but their own centre,
    the capture volume and whether volume and up are known differ from studio to studio.
    """
    place = (_ring, _arc, _corners, _storeys, _dome)[rng.integers(5)]
    lens = float(np.exp(rng.uniform(*np.log(_LENSES))))
    mixed, rolls = rng.random() < 0.3, rng.choice(["level", "quarter", "any"], p=[0.6, 0.2, 0.2])
    centre = np.array([*rng.normal(0, 0.25, 2), 0.0])
    size = _SIZES[rng.integers(len(_SIZES))]
    placed: list[Camera] = []
    while len(placed) < cameras:
        angle = float(np.clip(np.exp(rng.uniform(*np.log(_LENSES))) if mixed else lens * rng.normal(1, 0.05), *_LENSES))
        distance = np.clip(rng.uniform(1.05, 1.8) / np.tan(np.radians(angle) / 2), 1.9, 8.5)
        position = centre + place(rng, len(placed), cameras, distance)
        if any(np.linalg.norm(position - other.centre) < _APART_M for other in placed):
            continue
        size = _SIZES[rng.integers(len(_SIZES))] if mixed else size
        placed.append(_random_camera(rng, f"cam{len(placed) + 1:02d}", position, angle, size, rolls=str(rolls)))
    return Rig(tuple(placed), joints, "m", UP if rng.random() < 0.5 else None, _volume(rng))


def _volume(rng: np.random.Generator) -> tuple[Array, Array] | None:
    """Where the person may be, drawn more or less widely and not always about the middle; or unknown."""
    if rng.random() < 0.3:
        return None
    half, shift = rng.uniform(0.9, 1.8, 2), rng.normal(0, 0.12, 2)
    return np.array([*(shift - half), 0.0]), np.array([*(shift + half), rng.uniform(1.9, 2.4)])


Placing = Callable[[np.random.Generator, int, int, float], Array]


def _ring(rng: np.random.Generator, index: int, cameras: int, distance: float) -> Array:
    return _polar(360 * (index + rng.uniform(-0.3, 0.3)) / cameras, distance, rng.uniform(0.5, 2.8))


def _arc(rng: np.random.Generator, index: int, cameras: int, distance: float) -> Array:
    """Only one side of the room has cameras."""
    return _polar(170 * (index + rng.uniform(-0.3, 0.3)) / cameras, distance, rng.uniform(0.5, 2.8))


def _corners(rng: np.random.Generator, index: int, _: int, distance: float) -> Array:
    """Four corners under the ceiling, then the middles of the walls, then anywhere between."""
    azimuth = 90 * index + 45 * (index // 4) + rng.normal(0, 4 + 6 * (index // 8))
    return _polar(azimuth, distance * (1.15 if index % 8 < 4 else 1.0), rng.uniform(1.6, 3.2))


def _storeys(rng: np.random.Generator, index: int, cameras: int, distance: float) -> Array:
    """One ring near the floor and one overhead."""
    low = index % 2 == 0
    height = rng.uniform(0.3, 1.0) if low else rng.uniform(2.2, 3.8)
    return _polar(360 * (index + rng.uniform(-0.3, 0.3)) / cameras, distance, height)


def _dome(rng: np.random.Generator, _index: int, _cameras: int, distance: float) -> Array:
    azimuth, elevation = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-0.15, 0.95)))
    across = distance * np.cos(np.radians(elevation))
    return _polar(azimuth, across, max(0.2, 1.0 + distance * np.sin(np.radians(elevation))))


def _polar(azimuth: float, distance: float, height: float) -> Array:
    return np.array([distance * np.cos(np.radians(azimuth)), distance * np.sin(np.radians(azimuth)), height])


def _random_camera(
    rng: np.random.Generator, camera_id: str, position: Array, angle: float, size: tuple[int, int], *, rolls: str
) -> Camera:
    target = np.array([*rng.normal(0, 0.25, 2), rng.uniform(0.7, 1.2)])
    width, height = size
    turn = {"level": 0.0, "quarter": 90.0 * rng.integers(4), "any": rng.uniform(-180, 180)}[rolls]
    R = Rotation.from_euler("z", turn + rng.normal(0, 6), degrees=True).as_matrix() @ look_at(position, target)
    focal = min(size) / 2 / np.tan(np.radians(angle) / 2)
    K = np.array([[focal, 0, width / 2 + rng.normal(0, 8)], [0, focal * rng.normal(1, 0.002), height / 2], [0, 0, 1]])
    corner = max(1.0, (width**2 + height**2) / (2 * focal) ** 2)  # squared tangent: a wide lens bends less per tangent
    dist = np.array(
        [rng.uniform(-0.15, 0.05) / corner, rng.uniform(-0.02, 0.04) / corner**2, *rng.normal(0, 5e-4, 2), 0]
    )
    return Camera(camera_id, width, height, K, R, -R @ position, dist)


def panoptic_dome(rng: np.random.Generator, cameras: int = _HD_CAMERAS, *, joints: str = "panoptic19") -> Rig:
    """A dome like CMU's Panoptic Studio, with ``cameras`` of its 31 HD cameras; in centimetres, z up.

    From the published description (Joo et al., ICCV 2015 and PAMI 2017): a geodesic dome 5.49 m across and 4.15 m high,
    HD cameras of 1920×1080 about its surface, looking at the centre; lenses of about 1400 px. Where each camera sits is
    drawn, evenly over the sphere between knee height and the top; the real positions come with the data set.
    """
    if not 2 <= cameras <= _HD_CAMERAS:
        raise InvalidInput(f"The dome has 2 to {_HD_CAMERAS} HD cameras, not {cameras}.", at="cameras")
    radius, middle = 2.745, 4.15 - 2.745
    spin, chosen = rng.uniform(0, 360), np.sort(rng.permutation(_HD_CAMERAS)[:cameras])
    placed = []
    for index in chosen:
        sine = np.interp((index + 0.5) / _HD_CAMERAS, [0, 1], [(0.4 - middle) / radius, 0.9]) + rng.normal(0, 0.02)
        azimuth = spin + index * 137.508 + rng.normal(0, 4)  # the golden angle: even over a sphere
        position = _polar(azimuth, radius * np.sqrt(1 - sine**2), middle + radius * sine)
        target = np.array([*rng.normal(0, 0.08, 2), rng.uniform(1.0, 1.3)])
        R = Rotation.from_euler("z", rng.normal(0, 2), degrees=True).as_matrix() @ look_at(position, target)
        focal = 1400 * rng.normal(1, 0.01)
        K = np.array([[focal, 0, 960 + rng.normal(0, 8)], [0, focal, 540 + rng.normal(0, 8)], [0, 0, 1]])
        dist = np.array([rng.normal(-0.25, 0.02), rng.normal(0.15, 0.02), *rng.normal(0, 3e-4, 2), 0.0])
        placed.append(Camera(f"00_{index:02d}", 1920, 1080, K, R, -R @ position * 100, dist))
    half = 110.0
    volume = (np.array([-half, -half, 0.0]), np.array([half, half, 210.0]))
    return Rig(tuple(placed), joints, "cm", UP, volume)


def published_rigs() -> tuple[str, ...]:
    """Names that ``published_rig`` knows."""
    return tuple(f"h36m-{subject}" for subject in _human36m()["extrinsics"])


def published_rig(name: str, *, joints: str = "coco17") -> Rig:
    """Human3.6M's four cameras as calibrated for one subject, such as ``"h36m-s9"``; in millimetres, z up.

    Ionescu et al., PAMI 2014; the numbers are those of the MIT-licensed collection named in NOTICE. Raises InvalidInput
    for a name that is not known.
    """
    subject = name.lower().removeprefix("h36m-")
    data = _human36m()
    if name.lower() not in published_rigs():
        raise InvalidInput(f"No rig {name!r} is known. Known are {', '.join(published_rigs())}.", at="rig")
    cameras = []
    for camera_id, pose in data["extrinsics"][subject].items():
        lens, (width, height) = data["intrinsics"][camera_id], data["sizes"][camera_id]
        K = np.array([[lens["f"][0], 0, lens["c"][0]], [0, lens["f"][1], lens["c"][1]], [0, 0, 1]])
        R = Rotation.from_rotvec(pose["rotvec"]).as_matrix()
        cameras.append(Camera(camera_id, width, height, K, R, np.array(pose["t"]), np.array(lens["dist"])))
    volume = (1000 * VOLUME_M[0], 1000 * VOLUME_M[1])
    return Rig(tuple(cameras), joints, "mm", UP, volume)


def _human36m() -> dict[str, Any]:
    text = (resources.files("models") / "data" / "human36m_cameras.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


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

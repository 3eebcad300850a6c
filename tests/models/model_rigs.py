"""Rigs for the tests: a studio whose every property is chosen, none random; and options that adapt it quickly."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from models.rig import Camera, Rig
from models.worlds import look_at

QUICK = {"steps": 5}
UP = np.array([0.0, 0.0, 1.0])
VOLUME = (np.array([-1.7, -1.7, 0.0]), np.array([1.7, 1.7, 2.1]))
LENSES = {
    "none": ("opencv", []),
    "opencv4": ("opencv", [-0.12, 0.02, 1e-3, -5e-4]),
    "opencv5": ("opencv", [-0.12, 0.02, 1e-3, -5e-4, 1e-3]),
    "opencv8": ("opencv", [0.3, -0.05, 5e-4, 3e-4, 0.01, 0.45, 0.02, 1e-3]),
    "fisheye": ("fisheye", [0.02, -0.01, 3e-3, -1e-3]),
}


def camera_at(position, target=(0, 0, 1), *, name="cam", focal=1000.0, size=(1280, 960), lens="opencv5", roll=0.0):
    """A camera at ``position`` that looks at ``target``, rolled by degrees about its axis."""
    position, model = np.asarray(position, float), LENSES[lens][0]
    R = Rotation.from_euler("z", roll, degrees=True).as_matrix() @ look_at(position, np.asarray(target, float))
    K = np.array([[focal, 0, size[0] / 2 + 3], [0, focal * 1.01, size[1] / 2 - 5], [0, 0, 1]])
    return Camera(name, *size, K, R, -R @ position, np.array(LENSES[lens][1]), model)


def studio(cameras=4, *, joints="coco17", volume=VOLUME, up=UP, rolls=(0, 0), lens="opencv5"):
    """Cameras on a ring of 4.5 m, alternately high and low."""
    angles = np.radians(20 + 360 * np.arange(cameras) / (cameras if cameras > 2 else 3.5))
    placed = [
        camera_at(
            (4.5 * np.cos(a), 4.5 * np.sin(a), 1.4 + 0.9 * (i % 2)),
            name=f"cam{i}",
            lens=lens,
            roll=rolls[i % len(rolls)],
        )
        for i, a in enumerate(angles)
    ]
    return Rig(tuple(placed), joints, "m", up, volume)


def moved(rig, rotation, translation):
    """The rig in a world whose points are X' = rotation · X + translation; it keeps its views."""
    R = np.stack([c.R @ rotation.T for c in rig.cameras])
    t = np.stack([c.t - r @ translation for c, r in zip(rig.cameras, R, strict=True)])
    return rig.with_poses(R, t)


def in_units(rig, units):
    """The same studio written down in another unit."""
    factor = {"m": 1, "cm": 100, "mm": 1000}[units]
    cameras = tuple(c.with_pose(c.R, factor * c.t) for c in rig.cameras)
    volume = None if rig.volume is None else tuple(factor * corner for corner in rig.volume)
    return replace(rig, cameras=cameras, units=units, volume=volume)


def reordered(rig, order):
    """The same rig with its cameras listed in another order."""
    return replace(rig, cameras=tuple(rig.cameras[i] for i in order))

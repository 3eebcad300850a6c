"""Studios whose cameras stand upright and level: what a start that is the same for all pairs can know something of."""

import numpy as np

from models.rig import Camera, Rig
from models.studios import UP, VOLUME_M, look_at


def level_rig(rng: np.random.Generator, cameras: int, *, joints: str = "coco17") -> Rig:
    """Cameras on a ring at about one height and distance, of one make, the volume's window or the whole image."""
    height, distance = rng.uniform(1.2, 2.2), rng.uniform(3.5, 6.0)
    focal = 500 * distance / rng.uniform(1.7, 2.4)  # what half the image's side shows, in metres
    spin = rng.uniform(0, 360)
    placed = []
    for index in range(cameras):
        azimuth = np.radians(spin + 360 * (index + rng.uniform(-0.25, 0.25)) / cameras)
        across = distance * rng.uniform(0.9, 1.1)
        position = np.array([across * np.cos(azimuth), across * np.sin(azimuth), height + rng.normal(0, 0.1)])
        R = look_at(position, np.array([*rng.normal(0, 0.2, 2), rng.normal(1.0, 0.08)]))
        K = np.array([[focal, 0, 500 + rng.normal(0, 5)], [0, focal, 500 + rng.normal(0, 5)], [0, 0, 1]])
        placed.append(Camera(f"cam{index + 1:02d}", 1000, 1000, K, R, -R @ position, np.zeros(5)))
    return Rig(tuple(placed), joints, "m", UP, VOLUME_M if rng.random() < 0.5 else None)

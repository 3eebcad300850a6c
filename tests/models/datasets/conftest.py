"""The studio that the small data sets are shot in."""

from dataclasses import replace

import numpy as np
import pytest
from dataset_files import person
from model_rigs import camera_at

from models.rig import Rig

TO_PANOPTIC = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # z up → y down


def ring(names, *, size=(320, 240), focal=300.0, lens="opencv5"):
    """Cameras around the origin, 3.5 m away, metres and z up."""
    angles = np.radians(20 + 360 * np.arange(len(names)) / len(names))
    return [
        camera_at((3.5 * np.cos(a), 3.5 * np.sin(a), 1.2 + 0.4 * (i % 2)), name=name, focal=focal, size=size, lens=lens)
        for i, (name, a) in enumerate(zip(names, angles, strict=True))
    ]


@pytest.fixture(scope="session")
def panoptic_rig():
    """Three HD cameras as Panoptic's file says it: centimetres, y down."""
    cameras = [c.with_pose(c.R @ TO_PANOPTIC.T, 100 * c.t) for c in ring(["00_03", "00_11", "00_24"])]
    return Rig(tuple(cameras), "panoptic19", "cm", np.array([0.0, -1.0, 0.0]))


@pytest.fixture(scope="session")
def panoptic_joints():
    """Frames [F, 19, 3] in Panoptic's world and unit."""
    return 100 * person("panoptic19", 20) @ TO_PANOPTIC.T


@pytest.fixture(scope="session")
def totalcapture_cameras():
    """Eight cameras with one radial coefficient, as Total Capture has them, metres."""
    return [
        replace(c, dist=np.array([-0.15, 0, 0, 0, 0])) for c in ring([str(i) for i in range(1, 9)], size=(192, 108))
    ]

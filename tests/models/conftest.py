"""One world and one adaptation for all tests of the science that only read them."""

import numpy as np
import pytest
import torch
from model_rigs import QUICK, studio

from models.adaptation import adapt
from models.worlds import Detector, make_world

torch.set_num_threads(1)  # small tensors: threads cost more than they bring


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def rig():
    return studio()


@pytest.fixture(scope="session")
def world(rig):
    """Frames whose detector often loses joints, so that there is something to gain by fusing."""
    return make_world(np.random.default_rng(1), rig, 24, Detector(hidden=0.3), clips=4)


@pytest.fixture(scope="session")
def labelled(world):
    return world.labelled(np.random.default_rng(2), 0.25)


@pytest.fixture(scope="session")
def checkpoint(rig, labelled):
    return adapt(rig, labelled, options=QUICK, seed=3, capture_digest="capture")

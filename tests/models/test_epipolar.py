"""Heuristic epipolar fusion, sum and maximum, through the door of all methods."""

import numpy as np
import pytest
from model_rigs import studio

from models.adaptation import adapt
from models.affine import transform
from models.baselines import calibrated_theta, gaussian_ridge
from models.checkpoint import Checkpoint
from models.fusion import FLOOR, Fuser
from models.heatmap import render
from models.pair_weights import OmegaBase
from models.runtime import Engine
from models.worlds import Detector, make_world, random_rig


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(31)
    rig = random_rig(rng, 3)
    return make_world(rng, rig, 20, Detector(), clips=2)


def test_the_maximum_is_the_highest_weighted_pixel(rng):
    rig = studio(2)
    maps = np.maximum.reduce([h * render(rng.uniform(8, 55, (2, 2, 3, 2)), 1.6) for h in (1.0, 0.6)])
    theta, ridge = calibrated_theta(rig), gaussian_ridge()
    omega = OmegaBase(ridge.values, (0.5, 0.0), 0.0, pooling="max")
    fused = Fuser(omega, rig.pairs, theta, np.array([1.0, 0.6]), 2).fuse(maps).reshape(2, 2, 3, 4096)
    flat = maps.reshape(2, 2, 3, 4096)
    for pair, (target, source) in enumerate(rig.pairs):
        weights = transform(ridge.values, theta[pair].reshape(-1, 2, 3))
        seen = np.where(flat[:, source] > FLOOR, flat[:, source], 0)
        best = np.stack([(weights * sample).max(1) for sample in seen.reshape(-1, 4096)]).reshape(2, 3, 4096)
        added = 0.5 * (1.0, 0.6)[pair] * best
        assert added.max() > 0.1
        error = np.abs(fused[:, target] - flat[:, target] - added)
        assert error.max() < 0.15 * added.max()
        assert error.mean() < 0.03 * added.mean()


@pytest.mark.parametrize("pooling", ["sum", "max"])
def test_tuned_fusion_finds_hidden_joints_and_survives_its_bytes(world, pooling):
    checkpoint = adapt(world.rig, world.labelled(), method="epipolar", options={"pooling": pooling})
    assert checkpoint.omega.pooling == pooling
    assert not checkpoint.repaired
    assert checkpoint.metrics["fused"]["jdr_hidden"] > checkpoint.metrics["no_fusion"]["jdr_hidden"] + 0.2
    again = Checkpoint.from_bytes(checkpoint.to_bytes())
    fused = [Engine.load(world.rig, c).poses(world.heatmaps[:2]).heatmaps for c in (checkpoint, again)]
    assert np.array_equal(*fused)
    assert np.abs(fused[0] - world.heatmaps[:2]).max() > 0.05

from dataclasses import replace

import numpy as np
import pytest
from model_rigs import reordered, studio

from models.affine import transform
from models.baselines import calibrated_theta, epipolar_fuser, gaussian_ridge
from models.fusion import FLOOR, Fuser
from models.geometry import project
from models.heatmap import decode, render
from models.pair_weights import OmegaBase
from models.pencil import KNOTS
from models.weights import default_omega


def heatmaps(rng, views=3, samples=2):
    maps = render(rng.uniform(8, 55, (samples, views, 3, 2)), 1.6) * rng.uniform(0.3, 1, (samples, views, 3, 1, 1))
    return np.maximum(maps, 0.8 * render(rng.uniform(8, 55, (samples, views, 3, 2)), 1.6)).astype(np.float32)


@pytest.fixture(scope="module")
def pair():
    """Two views with θ of both ways, and by equation (2) the weights of every pixel."""
    rig = studio(2)
    theta = calibrated_theta(rig)
    return rig, theta, [transform(gaussian_ridge(1.5).values, field.reshape(-1, 2, 3)) for field in theta]


def by_equation_one(omega, weights, gains, maps):
    """x_i ← x_i + Σ_j ω_{j,i}·x_j with the dense weights of two views, in two rounds."""
    flat = maps.reshape(*maps.shape[:3], 4096)

    def evidence(x):
        x = np.where(x > FLOOR, x, 0)
        return np.stack([gains[0] * x[:, 1] @ weights[0].T, gains[1] * x[:, 0] @ weights[1].T], axis=1)

    fused = flat + omega.gains[0] * evidence(flat)
    if omega.sharpness:
        belief = (np.maximum(fused, 0) / fused.max(-1, keepdims=True)) ** omega.sharpness
        fused = flat + omega.gains[1] * evidence(flat * belief)
    return fused.reshape(maps.shape)


@pytest.mark.parametrize(("rounds", "sharpness"), [((0.1, 0.0), 0.0), ((0.1, 0.2), 2.5)])
def test_fusing_is_equation_one(pair, rounds, sharpness, rng):
    rig, theta, weights = pair
    maps, gains = heatmaps(rng, views=2), np.array([0.7, 1.8])
    omega = OmegaBase(gaussian_ridge(1.5).values, rounds, sharpness)
    expected = by_equation_one(omega, weights, gains, maps)
    fused = Fuser(omega, rig.pairs, theta, gains, 2).fuse(maps)
    added = np.abs(expected - maps)
    assert added.max() > 0.3
    assert np.abs(fused - expected).max() < 0.1 * added.max()
    assert np.abs(fused - expected).mean() < 0.03 * added.mean()


def test_fusing_freely_learned_theta_is_equation_one(pair, rng):
    rig, theta, _ = pair
    maps, rows = heatmaps(rng, views=2), np.arange(3, 4096, 41)
    free = (theta[0] + rng.normal(0, 0.1, theta[0].shape)).astype(np.float32)
    fused = Fuser(gaussian_ridge(), rig.pairs[:1], free[None], np.ones(1), 2).fuse(maps).reshape(2, 2, 3, 4096)
    weights = transform(gaussian_ridge().values, free.reshape(-1, 2, 3)[rows])
    flat = maps.reshape(2, 2, 3, 4096)
    expected = flat[:, 0][..., rows] + 0.1 * np.where(flat[:, 1] > FLOOR, flat[:, 1], 0) @ weights.T
    np.testing.assert_allclose(fused[:, 0][..., rows], expected, atol=2e-3)
    np.testing.assert_array_equal(fused[:, 1], flat[:, 1])  # no pair leads there


@pytest.mark.parametrize("silence", ["pairs", "rounds", "omega"])
def test_fusing_with_zero_gain_is_no_fusion(silence, rng):
    rig, maps, omega = studio(3), heatmaps(rng), default_omega()
    values = omega.values * (silence != "omega")
    rounds = (0.0, 0.0) if silence == "rounds" else omega.gains
    gains = np.full(6, float(silence != "pairs"))
    fuser = Fuser(OmegaBase(values, rounds, omega.sharpness), rig.pairs, calibrated_theta(rig), gains, 3)
    np.testing.assert_array_equal(fuser.fuse(maps), maps)


def test_the_order_of_cameras_does_not_matter(rng):
    rig, maps, order = studio(4), heatmaps(rng, views=4), [2, 0, 3, 1]
    gains = {pair: rng.uniform(0.5, 2) for pair in rig.pairs}
    one = Fuser(default_omega(), rig.pairs, calibrated_theta(rig), np.array([*gains.values()]), 4)
    other_rig = reordered(rig, order)
    there = np.array([gains[order[a], order[b]] for a, b in other_rig.pairs])
    other = Fuser(default_omega(), other_rig.pairs, calibrated_theta(other_rig), there, 4)
    np.testing.assert_allclose(other.fuse(maps[:, order]), one.fuse(maps)[:, order], atol=2e-3)


def test_frames_and_joints_do_not_mix(rng):
    fuser, maps = epipolar_fuser(studio(3)), heatmaps(rng, samples=3)
    alone = np.concatenate([fuser.fuse(maps[f : f + 1, :, j : j + 1]) for f in range(3) for j in range(3)])
    np.testing.assert_allclose(alone.reshape(3, 3, 3, 64, 64).swapaxes(1, 2), fuser.fuse(maps), atol=1e-5)


def test_a_joint_that_one_view_lost_is_found_there(rng):
    rig = studio(4)
    seen = project(rig.projections(), np.array([[0.4, -0.3, 1.2]]))[0]
    maps = render(seen, 1.6)[None, :, None] * np.float32(0.8)
    maps[0, 0] = 0.3 * render(seen[0] + [15, -9], 1.6)
    assert np.linalg.norm(decode(maps)[0][0, 0, 0] - seen[0]) > 10
    assert np.linalg.norm(decode(epipolar_fuser(rig).fuse(maps))[0][0, 0, 0] - seen[0]) < 1


@pytest.mark.parametrize("omega", [gaussian_ridge(1.0, 1.0), default_omega()], ids=["one round", "two rounds"])
@pytest.mark.parametrize("pooling", ["sum", "max"])
def test_contributions_are_what_fusing_adds(omega, pooling, rng):
    rig, maps, gains = studio(3), heatmaps(rng), rng.uniform(0.5, 2, 6)
    fuser = Fuser(replace(omega, pooling=pooling), rig.pairs, calibrated_theta(rig), gains, 3)
    added = fuser.contributions(maps)
    assert added.shape == (2, 3, 3, 3, 64, 64)
    fused = fuser.fuse(maps)
    assert np.abs(fused - maps).max() > 0.1
    np.testing.assert_allclose(maps + added.sum(2), fused, rtol=1e-4, atol=1e-5)
    assert all(not added[:, view, view].any() for view in range(3))
    np.testing.assert_allclose(fuser.contributions(maps[:, :, 1:2]), added[:, :, :, 1:2], atol=1e-5)


def test_each_source_contributes_its_own(rng):
    rig, maps = studio(3), heatmaps(rng)
    alone = np.array([float(pair == (0, 2)) for pair in rig.pairs])
    fuser = Fuser(gaussian_ridge(1.0, 1.0), rig.pairs, calibrated_theta(rig), np.full(6, 0.7), 3)
    expected = fuser.weighing(0.7 * alone).fuse(maps)[:, 0] - maps[:, 0]
    np.testing.assert_allclose(fuser.contributions(maps)[:, 0, 2], expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 3, 17, 64, 64), (2, 3, 0, 64, 64)])
def test_nothing_fuses_to_nothing(shape):
    assert epipolar_fuser(studio(3)).fuse(np.zeros(shape, np.float32)).shape == shape


def test_empty_heatmaps_stay_empty():
    omega, rig = default_omega(), studio(3)
    fuser = Fuser(omega, rig.pairs, calibrated_theta(rig), np.ones(6), 3)
    assert np.abs(fuser.fuse(np.zeros((1, 3, 2, 64, 64), np.float32))).max() == 0


def test_half_precision_fuses_as_single(rng):
    fuser, maps = epipolar_fuser(studio(3)), heatmaps(rng)
    np.testing.assert_allclose(fuser.fuse(maps.astype(np.float16)), fuser.fuse(maps), atol=5e-3)


def test_memory_is_told_and_grows_with_the_pairs():
    sizes = [epipolar_fuser(studio(v)).nbytes for v in (2, 3)]
    tables = 2 * KNOTS * 4096 * 4  # a small rig's are in single precision
    assert tables < sizes[0] < 1.15 * tables
    assert sizes[1] == pytest.approx(3 * sizes[0], rel=0.02)

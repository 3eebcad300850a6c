from dataclasses import replace

import numpy as np
import pytest
from model_rigs import studio

from models import metrics, naivefuse
from models.errors import InsufficientLabels
from models.fusion import FLOOR, PLAIN_SUM, Fuser, LowRank
from models.heatmap import decode, render
from models.labelled import LabelledFrames
from models.naivefuse import learn, ridge_duals, truncate
from models.worlds import Detector, make_world


def test_the_dual_solution_is_that_of_the_dense_normal_equations(rng):
    X, Y = rng.normal(size=(12, 30)), rng.normal(size=(12, 25))
    for ridge, dual in zip((0.5, 20.0), ridge_duals(X @ X.T, Y, (0.5, 20.0)), strict=True):
        direct = np.linalg.solve(X.T @ X + ridge * np.eye(30), X.T @ Y)
        np.testing.assert_allclose(X.T @ dual, direct, atol=1e-5)


def test_a_singular_gram_matrix_is_solved(rng):
    X = np.repeat(rng.normal(size=(5, 30)), 2, axis=0)
    (dual,) = ridge_duals(X @ X.T, np.ones((10, 3)), [0.1])
    np.testing.assert_allclose(X @ X.T @ dual + 0.1 * dual, 1, atol=1e-4)


@pytest.mark.parametrize("rank", [5, 20])
def test_truncation_is_nearly_the_best_there_is(rng, rank):
    strength = 0.9 ** np.arange(60)[:, None]
    dual, seen = (strength * rng.normal(size=(60, n)).astype(np.float32) for n in (150, 200))
    dense = dual.T @ seen
    left, right = truncate(dual, seen, rank, rng)
    assert (left.shape, right.shape) == ((150, rank), (rank, 200))
    best = np.sqrt(np.square(np.linalg.svd(dense, compute_uv=False)[rank:]).sum())
    assert best <= np.linalg.norm(dense - left @ right) * (1 + 1e-4)
    assert np.linalg.norm(dense - left @ right) < 1.001 * best


def test_a_rank_above_the_number_of_samples_loses_nothing(rng):
    dual, seen = (rng.normal(size=(7, n)).astype(np.float32) for n in (50, 40))
    left, right = truncate(dual, seen, 96, rng)
    np.testing.assert_allclose(left @ right, dual.T @ seen, atol=1e-4)


def blobs(rng, frames, shift=(6.0, -4.0)):
    """Two views of one joint set, the second the first shifted; in the first every other joint is not found."""
    joints = rng.uniform(12, 50, (frames, 1, 17, 2)) + np.array([(0.0, 0.0), shift])[:, None]
    maps = render(joints, 2.0)
    maps[:, 0, ::2] = 0
    return LabelledFrames(tuple(map(str, range(frames))), maps, joints, np.full((frames, 2, 17), 2, np.uint8))


def fuser(factors, pairs, views):
    weights = [LowRank(*both) for both in zip(factors.left, factors.right, strict=True)]
    return Fuser(PLAIN_SUM, pairs, weights, np.ones(len(pairs)), views)


def test_what_is_learned_is_the_map_between_the_views(rng):
    pairs = ((0, 1), (1, 0))
    fused = fuser(learn(blobs(rng, 60), blobs(rng, 10), pairs, rng), pairs, 2)
    test = blobs(rng, 5)
    found, height = decode(fused.fuse(test.heatmaps)[:, 0, ::2])
    assert np.median(np.linalg.norm(found - test.joints_view[:, 0, ::2], axis=-1)) < 1
    assert np.median(height) > 0.3


def test_the_fuser_applies_the_factors_as_dense_weights(rng):
    pairs = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1))
    maps = np.maximum(rng.random((2, 3, 4, 64, 64)) - 0.7, 0).astype(np.float32)
    weights = [LowRank(*(rng.normal(size=s).astype(np.float16) / 64 for s in ((4096, 3), (3, 4096)))) for _ in pairs]
    gains = rng.uniform(0.5, 2, 6)
    expected = maps.copy().reshape(2, 3, 4, 4096)
    seen = np.where(expected > FLOOR, expected, 0)
    for (a, b), w, gain in zip(pairs, weights, gains, strict=True):
        expected[:, a] += gain * seen[:, b] @ (w.left.astype(float) @ w.right.astype(float)).T
    engine = Fuser(PLAIN_SUM, pairs, weights, gains, 3)
    np.testing.assert_allclose(engine.fuse(maps).reshape(expected.shape), expected, atol=2e-3)
    assert engine.nbytes == 6 * 3 * 4096 * (2 + 4)


def test_many_frames_of_a_small_world_find_hidden_joints_that_no_fusion_loses():
    rng = np.random.default_rng(3)
    rig = studio(3)
    world = make_world(rng, rig, 120, Detector(hidden=0.3))
    frames, index = world.labelled(), np.arange(120)  # neighbours in time: what is learned here is learned by heart
    fit, choose, test = (frames.subset(index[np.isin(index % 4, kept)]) for kept in ((0, 2), (1,), (3,)))
    fused = fuser(learn(fit, choose, rig.pairs, rng), rig.pairs, 3).fuse(test.heatmaps)
    found = [
        metrics.jdr(decode(maps)[0], test.joints_view, np.full(maps.shape[:3], 2.0), test.visibility == 1)
        for maps in (test.heatmaps, fused)
    ]
    assert found[1] > found[0] + 0.05


def test_the_ridge_is_chosen_on_the_other_frames(rng):
    fit, others, pairs = blobs(rng, 12), blobs(rng, 6), ((0, 1), (1, 0))
    unlike = replace(others, heatmaps=others.heatmaps.copy())
    unlike.heatmaps[:, 1] = np.roll(others.heatmaps[:, 1], 1, axis=1)  # the second view finds other joints
    ridges = [learn(fit, choose, pairs, rng).ridges[0] for choose in (others, unlike)]
    assert ridges[0] < ridges[1] == naivefuse.RIDGES[-1]


def test_a_view_without_a_shared_label_is_refused(rng):
    frames = blobs(rng, 8)
    frames.joints_view[:, 1] = np.nan
    with pytest.raises(InsufficientLabels):
        learn(frames, blobs(rng, 2), ((0, 1), (1, 0)), rng)

from dataclasses import replace

import numpy as np
import pytest
from model_rigs import studio

from models.naivefuse_factors import Product, stacked, truncate
from models.naivefuse_ridge import NONE, best_ridge, dual
from models.naivefuse_samples import Problem, Samples, thinned
from models.pair_weights import LowRank
from models.worlds import Detector, make_world


def problem(rng, samples=12, pixels=30, targets=25, sources=2):
    seen = [rng.random((samples, pixels)).astype(np.float32) for _ in range(sources)]
    return Problem(seen, rng.normal(size=(samples, targets)).astype(np.float32))


def dense(one, ridge):
    """W of all sources side by side, by the normal equations in doubles."""
    X = np.concatenate(one.seen, axis=1).astype(float)
    charge = ridge * np.square(X).sum(1).mean() * np.eye(X.shape[1])
    return np.linalg.solve(X.T @ X + charge, X.T @ one.lacking).T


@pytest.mark.parametrize("ridge", [0.03, 0.3, 10.0])
def test_the_dual_solution_is_that_of_the_dense_normal_equations(rng, ridge):
    one = problem(rng)
    alpha = dual(one, ridge)
    found = np.concatenate([alpha.T @ seen for seen in one.seen], axis=1)
    np.testing.assert_allclose(found, dense(one, ridge), atol=1e-4)


def test_without_regularisation_the_fit_is_exact_and_its_norm_the_smallest(rng):
    one = problem(rng)
    X = np.concatenate(one.seen, axis=1).astype(float)
    found = dual(one, NONE).T @ X
    np.testing.assert_allclose(X @ found.T, one.lacking, atol=1e-4)
    np.testing.assert_allclose(found, (np.linalg.pinv(X) @ one.lacking).T, atol=1e-4)


def test_repeated_samples_are_solved_too(rng):
    one = problem(rng).subset(np.repeat(np.arange(6), 2))
    alpha = dual(one, NONE)
    assert np.isfinite(alpha).all()
    assert np.isfinite(dual(Problem([np.zeros((4, 9), np.float32)], one.lacking[:4]), 0.03)).all()


def test_the_ridge_with_the_least_error_on_other_samples_is_found(rng):
    weights = rng.normal(size=(25, 300)).astype(np.float32)
    seen = rng.random((80, 300)).astype(np.float32)
    noise = rng.normal(size=(80, 25)).astype(np.float32)
    for spread, low, high in ((0.0, 0.0, 0.011), (300.0, 0.9, 10.0)):
        lacking = seen @ weights.T + spread * noise
        fit, choose = (Problem([seen[part]], lacking[part]) for part in (np.arange(50), np.arange(50, 80)))
        assert low <= best_ridge(fit, choose, (0.001, 0.01, 0.1, 1.0, 10.0), rng) <= high
    assert best_ridge(fit, Problem([seen[:0]], lacking[:0]), (1.0, 2.0, 3.0), rng) == 2.0


def test_what_is_beyond_a_start_is_what_it_leaves(rng):
    one = problem(rng)
    left, right = rng.normal(size=(25, 3)), rng.normal(size=(3, 30))
    expected = one.lacking - sum(seen @ (left @ right).T for seen in one.seen)
    np.testing.assert_allclose(one.beyond(LowRank(left, right)).lacking, expected, atol=1e-4)


@pytest.mark.parametrize("rank", [5, 20])
def test_truncation_is_nearly_the_best_there_is(rng, rank):
    strength = 0.9 ** np.arange(60)[:, None]
    alpha, seen = (strength * rng.normal(size=(60, n)).astype(np.float32) for n in (150, 200))
    more = Product(0.01 * rng.normal(size=(150, 2)).astype(np.float32), rng.normal(size=(2, 200)).astype(np.float32))
    whole = alpha.T @ seen + more.left @ more.right
    left, right = truncate([Product(alpha.T, seen), more], rank, rng)
    assert (left.shape, right.shape) == ((150, rank), (rank, 200))
    best = np.sqrt(np.square(np.linalg.svd(whole, compute_uv=False)[rank:]).sum())
    assert best <= np.linalg.norm(whole - left @ right) * (1 + 1e-4)
    assert np.linalg.norm(whole - left @ right) < 1.001 * best


def test_a_rank_above_the_number_of_samples_loses_nothing(rng):
    alpha, seen = (rng.normal(size=(7, n)).astype(np.float32) for n in (50, 40))
    left, right = truncate([Product(alpha.T, seen)], 96, rng)
    np.testing.assert_allclose(left @ right, alpha.T @ seen, atol=1e-4)


def test_factors_of_unlike_ranks_are_stacked(rng):
    factors = [(rng.normal(size=(9, r)), rng.normal(size=(r, 8))) for r in (2, 5)]
    left, right = stacked(factors)
    assert (left.shape, right.shape) == ((2, 9, 5), (2, 5, 8))
    for (a, b), stored in zip(factors, left.astype(float) @ right.astype(float), strict=True):
        np.testing.assert_allclose(stored, a @ b, atol=0.05)


def test_a_source_counts_where_it_is_labelled_and_above_the_background(rng):
    world = make_world(rng, studio(3), 4, Detector())
    frames = world.labelled()
    frames.joints_view[1, 2] = np.nan
    one = Samples.of(frames).problem(0, [1, 2])
    assert len(one) == len(one.seen[0]) == 4 * 17
    assert not one.seen[1][17:34].any()
    assert one.seen[1][:17].any()
    np.testing.assert_allclose(one.seen[0][0], np.where((h := frames.heatmaps[0, 1, 0].ravel()) > 0.02, h, 0))
    assert abs(one.lacking[0] + frames.heatmaps[0, 0, 0].ravel()).max() == pytest.approx(1, abs=0.05)


def test_long_captures_are_thinned_evenly(rng):
    frames = make_world(rng, studio(2), 12, Detector()).labelled()
    assert thinned(frames, 12 * 17) is frames
    long = replace(
        frames,
        heatmaps=np.repeat(frames.heatmaps[:1, :, :, :1, :1], 900, 0),
        joints_view=np.repeat(frames.joints_view[:1], 900, 0),
        visibility=np.repeat(frames.visibility[:1], 900, 0),
        frames=tuple(map(str, range(900))),
    )
    kept = [int(name) for name in thinned(long, 4000).frames]
    assert (kept[0], kept[-1]) == (0, 899)
    assert 3900 < len(kept) * 17 <= 4000
    assert np.ptp(np.diff(kept)) <= 1

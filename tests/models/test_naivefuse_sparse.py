from itertools import pairwise

import numpy as np
import pytest

from models.errors import Cancelled
from models.naivefuse_samples import Problem
from models.naivefuse_sparse import (
    STRENGTHS,
    fit_sparse,
    least_zeroing,
    minimise,
    shrink_groups,
    shrink_singly,
)

BOUNDS = (0, 10, 20, 30)


def design(rng, samples=60, columns=30):
    return rng.normal(size=(samples, columns)).astype(np.float32)


def slope(X, Y, W):
    return X.T @ (X @ W - Y)


def test_the_optimality_conditions_of_l1_hold(rng):
    X, Y, strength = design(rng, 20), rng.normal(size=(20, 7)).astype(np.float32), 4.0
    W = minimise(X, Y, shrink_singly, strength, tolerance=1e-3, steps=5000)
    down, used = slope(X, Y, W), W != 0
    assert 0 < used.mean() < 0.9
    np.testing.assert_allclose(down[used], -strength * np.sign(W[used]), atol=0.02)
    assert np.abs(down[~used]).max() <= strength + 0.02


def test_the_optimality_conditions_of_groups_hold(rng):
    X, Y, strength = design(rng, 20), rng.normal(size=(20, 7)).astype(np.float32), 14.0
    W = minimise(X, Y, shrink_groups(BOUNDS), strength, tolerance=1e-3, steps=5000)
    down = slope(X, Y, W)
    groups = [(down[a:b, t], W[a:b, t]) for a, b in pairwise(BOUNDS) for t in range(7)]
    zero = [not w.any() for _, w in groups]
    assert 0 < np.mean(zero) < 1
    for off, w in groups:
        if w.any():
            np.testing.assert_allclose(off, -strength * w / np.linalg.norm(w), atol=0.05)
        else:
            assert np.linalg.norm(off) <= strength + 0.05


def test_without_strength_the_minimum_is_that_of_least_squares(rng):
    X, Y = design(rng), rng.normal(size=(60, 5)).astype(np.float32)
    W = minimise(X, Y, shrink_singly, 1e-4, tolerance=1e-2, steps=5000)
    np.testing.assert_allclose(W, np.linalg.lstsq(X, Y, rcond=None)[0], atol=1e-3)


def test_sparse_weights_are_recovered_from_fewer_samples_than_weights(rng):
    truth = np.zeros((120, 4), np.float32)
    truth[rng.permutation(120)[:5]] = rng.choice([-1, 1], (5, 4)) * 2.0
    X = design(rng, 60, 120)
    W = minimise(X, X @ truth, shrink_singly, 0.5, tolerance=1e-3, steps=5000)
    np.testing.assert_allclose(W, truth, atol=0.1)


@pytest.mark.parametrize("shrink", [shrink_singly, shrink_groups(BOUNDS)], ids=["l1", "l21"])
def test_above_the_least_zeroing_strength_all_weights_are_zero_and_below_some_are_not(rng, shrink):
    X, Y = design(rng), rng.normal(size=(60, 5)).astype(np.float32)
    largest = least_zeroing(X.T @ Y, shrink)
    assert not minimise(X, Y, shrink, 1.01 * largest).any()
    assert minimise(X, Y, shrink, 0.95 * largest).any()


def test_a_shrunk_group_keeps_its_direction_and_loses_length(rng):
    W = rng.normal(size=(30, 4)).astype(np.float32)
    shrunk = shrink_groups(BOUNDS)(W, 1.0)
    for a, b in pairwise(BOUNDS):
        lengths = np.linalg.norm(W[a:b], axis=0)
        np.testing.assert_allclose(shrunk[a:b], W[a:b] * np.maximum(0, 1 - 1 / lengths), atol=1e-6)


def problem(rng, samples, weights):
    """Two sources with a lit pixel here and there; only the first says anything about the target."""
    shape = samples, len(weights)
    seen = [np.where(rng.random(shape) < 0.15, rng.random(shape), 0).astype(np.float32) for _ in "ab"]
    for source in seen:
        source[:, 3 * len(weights) // 4 :] *= 0.01  # always background
    return Problem(seen, seen[0] @ weights.T)


@pytest.mark.parametrize("regularisation", ["l1", "l21"])
def test_a_view_that_says_nothing_is_not_listened_to(rng, regularisation):
    weights = np.zeros((40, 40), np.float32)
    weights[np.arange(20), np.arange(20)] = 1
    fit, choose = problem(rng, 200, weights), problem(rng, 60, weights)
    (first, second), strength = fit_sparse(fit, choose, regularisation, rng)
    assert strength == STRENGTHS[-1]  # nothing but signal
    assert first.shape == (40, 40)
    np.testing.assert_allclose(first.toarray()[:30, :30], weights[:30, :30], atol=0.15)
    assert not first.toarray()[:, 30:].any()
    assert not first.toarray()[20:].any()
    assert np.abs(second.toarray()).sum() < 0.05 * np.abs(first.toarray()).sum()
    if regularisation == "l21":
        assert not second.toarray().any()


def test_the_strength_is_chosen_on_the_other_samples(rng):
    weights = np.eye(40, dtype=np.float32)
    fit, unlike = problem(rng, 100, weights), problem(rng, 30, -weights)
    assert fit_sparse(fit, unlike, "l1", rng)[1] == STRENGTHS[0]
    assert fit_sparse(fit, unlike.subset(np.arange(0)), "l1", rng)[1] == STRENGTHS[len(STRENGTHS) // 2]


def test_the_progress_of_one_target_view_is_told_and_may_stop_it(rng):
    weights = np.eye(300, dtype=np.float32)
    told = []
    fit_sparse(problem(rng, 20, weights), problem(rng, 10, weights), "l1", rng, told.append)
    assert len(told) > 1
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] < 1

    def stop(_share):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        fit_sparse(problem(rng, 20, weights), problem(rng, 10, weights), "l1", rng, stop)

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.intervals import Draws, block_length


@given(st.integers(1, 200))
def test_every_draw_has_as_many_frames_as_there_are(frames):
    draws = Draws.of(frames, draws=20)
    assert draws.weights.shape == (20, frames)
    np.testing.assert_array_equal(draws.weights.sum(1), frames)


def test_frames_are_drawn_in_blocks_of_neighbours():
    draws = Draws.of(64, draws=500)
    assert block_length(64) == 4
    together = np.mean(np.minimum(draws.weights, np.roll(draws.weights, 1, axis=1)) > 0)
    apart = np.mean(np.minimum(draws.weights, np.roll(draws.weights, 20, axis=1)) > 0)
    assert together > 1.2 * apart


def test_the_same_seed_draws_the_same():
    a, b, c = (Draws.of(12, seed=seed).weights for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("frames", [6, 15, 40])
def test_an_interval_holds_the_true_mean_about_as_often_as_it_claims(frames):
    rng, draws = np.random.default_rng(3), Draws.of(frames)
    intervals = [draws.mean(rng.normal(0.3, 1, (frames, 5))) for _ in range(400)]
    held = np.mean([each.low <= 0.3 <= each.high for each in intervals])
    assert 0.92 <= held <= 1.0


def test_frames_that_are_alike_widen_the_interval():
    rng, draws = np.random.default_rng(4), Draws.of(60)
    single = draws.mean(rng.normal(size=60))
    takes = draws.mean(np.repeat(rng.normal(size=12), 5))
    assert takes.half > 1.3 * single.half


def test_pairing_cancels_what_is_hard_for_both():
    rng, draws = np.random.default_rng(5), Draws.of(20)
    hard = rng.normal(size=(20, 4))
    ours, theirs = hard + 0.1 + rng.normal(0, 0.02, hard.shape), hard
    assert draws.mean(ours - theirs).low > 0
    assert draws.mean(ours).low < draws.mean(theirs).high


def test_what_does_not_count_is_left_out():
    values = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, np.nan], [3.0, np.nan]])
    assert Draws.of(4).mean(values).value == 3.0


@pytest.mark.parametrize("values", [np.full((5, 2), np.nan), np.ones((1, 3))])
def test_of_nothing_or_one_frame_nothing_is_known(values):
    found = Draws.of(len(values)).mean(values)
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_a_higher_level_is_wider():
    draws, values = Draws.of(15), np.random.default_rng(6).normal(size=15)
    assert draws.mean(values, 0.99).half > draws.mean(values, 0.9).half


def test_it_is_fast():
    started = time.thread_time()  # of this thread alone, whatever else the machine does
    draws = Draws.of(150)
    for _ in range(16):
        draws.mean(np.ones((150, 8, 17)))
    assert time.thread_time() - started < 0.3

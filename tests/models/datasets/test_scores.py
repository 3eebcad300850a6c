"""Figures and their intervals, against what they are by definition."""

import numpy as np

from models.datasets.published import PUBLISHED
from models.datasets.scores import Outcome, ratio

JOINTS = ("left_knee", "right_knee", "left_wrist")


def test_a_ratio_is_its_sums_and_its_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        counts = rng.integers(1, 6, 80).astype(float)
        hits = rng.binomial(counts.astype(int), 0.7).astype(float)
        found = ratio(hits, counts, seed=trial)
        assert found.value == hits.sum() / counts.sum()
        assert found.low < found.value < found.high
        covered += found.low < 0.7 < found.high
    assert covered >= 51  # 95% of 60 is 57; fewer than 51 happens less than once in 500 times


def test_the_same_seed_gives_the_same_interval_and_one_frame_has_none_to_speak_of():
    counts, amounts = np.arange(1.0, 9), np.arange(8.0)
    assert ratio(amounts, counts, 1) == ratio(amounts, counts, 1) != ratio(amounts, counts, 2)
    single = ratio(np.array([3.0]), np.array([4.0]), 0)
    assert single.low == single.value == single.high == 0.75
    assert ratio(np.zeros(3), np.zeros(3), 0).document() == [None, None, None]


def test_joints_are_counted_by_group_and_missing_ones_beside_the_error():
    truths = np.array([[True, True, False], [True, True, True]])
    errors = np.array([[10.0, np.nan, np.nan], [30.0, 50.0, np.nan]])
    outcome = Outcome(
        JOINTS, np.array([[2, 1, 0], [0, 1, 4]]), np.array([[2, 2, 0], [2, 2, 4]]), truths, {"robust": errors}
    )
    jdr = outcome.jdr(0)
    assert jdr["knee"].value == 50.0
    assert jdr["wrist"].value == 100.0
    assert jdr["average"].value == 100 * 8 / 12
    assert np.isnan(jdr["ankle"].value)
    assert outcome.mpjpe("robust", 0).value == 30.0
    assert outcome.missing("robust") == 40.0


def test_the_paper_s_averages_lie_between_its_joints():
    assert set(PUBLISHED) == {"panoptic", "human36m", "totalcapture"}
    for row in (row for rows in PUBLISHED.values() for row in rows):
        assert row.jdr or row.mpjpe_mm
        if "average" in row.jdr:
            assert min(row.jdr.values()) < row.jdr["average"] < max(row.jdr.values()) + 0.1

import numpy as np
import pytest

from models.metrics import detected, half_head_px, jdr, mpjpe
from models.skeletons import skeleton

H36M = skeleton("h36m17")
NECK, HEAD = H36M.head


def labels(joints=17):
    return np.full((1, 1, joints, 2), np.nan)


def test_half_head_is_half_the_labelled_head():
    joints = labels()
    joints[0, 0, NECK], joints[0, 0, HEAD], joints[0, 0, 3] = [30, 20], [33, 16], [30, 60]
    assert half_head_px(H36M, joints)[0, 0] == pytest.approx(2.5)


def test_without_a_head_it_is_half_of_a_tenth_of_the_box():
    joints = labels()
    joints[0, 0, NECK], joints[0, 0, 3], joints[0, 0, 5] = [30, 20], [20, 60], [34, 50]
    assert half_head_px(H36M, joints)[0, 0] == pytest.approx(0.05 * 40)
    assert half_head_px(skeleton("coco17"), joints)[0, 0] == pytest.approx(0.05 * 40)


def test_a_view_without_labels_has_no_threshold_and_harms_no_other():
    joints = np.concatenate([labels(), labels()], axis=1)
    joints[0, 1, 3], joints[0, 1, 5] = [0, 0], [10, 40]
    found = half_head_px(H36M, joints)
    assert np.isnan(found[0, 0])
    assert found[0, 1] == pytest.approx(2)


def test_detected_is_strictly_nearer_than_the_threshold():
    truth = np.zeros((4, 2))
    estimate = np.array([[3, 4.0], [3, 3.9], [np.nan, 0], [0, 0]])
    np.testing.assert_array_equal(detected(estimate, truth, np.full(4, 5.0)), [False, True, False, True])


def test_jdr_counts_labelled_joints_only():
    truth = np.array([[0, 0], [10, 0], [np.nan, np.nan], [30, 0]], float)
    estimate = np.array([[0, 1], [10, 5], [0, 0], [np.nan, np.nan]], float)
    assert jdr(estimate, truth, np.full(4, 2.0)) == pytest.approx(1 / 3)
    assert jdr(estimate, truth, np.full(4, 2.0), np.array([True, True, True, False])) == pytest.approx(1 / 2)


def test_jdr_of_nothing_is_nan():
    assert np.isnan(jdr(np.zeros((3, 2)), np.full((3, 2), np.nan), np.ones(3)))


@pytest.mark.parametrize(("metres", "expected"), [(1.0, 3500.0), (0.01, 35.0), (0.001, 3.5)])
def test_mpjpe_is_in_millimetres_whatever_the_unit(metres, expected):
    truth = np.zeros((1, 4, 3))
    truth[0, 3] = np.nan
    estimate = np.array([[[0, 3, 4], [2, 0, 0], [np.nan] * 3, [1, 1, 1]]], float)
    assert mpjpe(estimate, truth, metres) == (pytest.approx(expected), 2, 1)


def test_mpjpe_does_not_align():
    truth = np.random.default_rng(0).normal(size=(5, 17, 3))
    assert mpjpe(truth + np.array([0.1, 0, 0]), truth)[0] == pytest.approx(100)


def test_mpjpe_of_nothing_is_nan_and_counted():
    error, compared, missing = mpjpe(np.full((2, 3, 3), np.nan), np.zeros((2, 3, 3)))
    assert np.isnan(error)
    assert (compared, missing) == (0, 6)

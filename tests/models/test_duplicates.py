import numpy as np
import pytest

from models.duplicates import first_alike

SHAPE = (3, 17, 2)  # views, joints


@pytest.fixture
def poses(rng):
    return rng.uniform(5, 58, (6, *SHAPE))


def test_different_poses_are_their_own(poses):
    np.testing.assert_array_equal(first_alike(poses), np.arange(6))


def test_a_pose_labelled_again_is_the_first_one(poses, rng):
    again = poses[[0, 1, 0, 2, 1, 0]]
    np.testing.assert_array_equal(first_alike(again), [0, 1, 0, 3, 1, 0])
    np.testing.assert_array_equal(first_alike(again + rng.normal(0, 0.25, again.shape)), [0, 1, 0, 3, 1, 0])


def test_a_moved_person_is_another_pose(poses):
    moved = poses[[0, 0]].copy()
    moved[1] += 1.0
    np.testing.assert_array_equal(first_alike(moved), [0, 1])


def test_a_slow_motion_is_no_chain(poses):
    slow = poses[0] + 0.05 * np.arange(20)[:, None, None, None]
    assert 4 <= len(np.unique(first_alike(slow))) <= 10


def test_who_moves_slowly_is_not_who_stands_still(poses, rng):
    labels = poses[[0, 0]] + rng.normal(0, 0.25, (2, *SHAPE))
    np.testing.assert_array_equal(first_alike(labels), [0, 0])
    labels[1] += 0.4 / np.sqrt(2)
    np.testing.assert_array_equal(first_alike(labels), [0, 1])


def test_joints_not_labelled_decide_nothing(poses):
    some = poses[[0, 0, 0]].copy()
    some[1, :, 8:], some[2, :, 3:] = np.nan, np.nan  # nearly half of the joints, and too few
    np.testing.assert_array_equal(first_alike(some), [0, 1, 2])
    some[1] = poses[0]
    some[1, :, 12:] = np.nan
    np.testing.assert_array_equal(first_alike(some), [0, 0, 2])


def test_frames_without_labels_are_not_alike():
    np.testing.assert_array_equal(first_alike(np.full((3, *SHAPE), np.nan)), [0, 1, 2])

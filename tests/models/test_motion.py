import numpy as np
import pytest

from models.motion import random_motion
from models.skeletons import SKELETONS, skeleton

COCO = skeleton("coco17")


def lengths(joints, a, b):
    return np.linalg.norm(joints[:, COCO.joints.index(a)] - joints[:, COCO.joints.index(b)], axis=1)


@pytest.mark.parametrize("name", SKELETONS)
def test_every_joint_set_moves_with_its_feet_on_the_floor(name, rng):
    joints = random_motion(rng, 30, skeleton(name))
    assert joints.shape == (30, len(skeleton(name).joints), 3)
    np.testing.assert_allclose(joints[..., 2].min(1), 0, atol=1e-12)
    assert 1.0 < joints[..., 2].max() < 2.3


@pytest.mark.parametrize("limb", [("knee", "ankle"), ("hip", "knee"), ("shoulder", "elbow"), ("elbow", "wrist")])
def test_limbs_keep_their_length_and_both_sides_are_alike(limb, rng):
    joints = random_motion(rng, 40, COCO)
    left, right = (lengths(joints, *(f"{side}_{end}" for end in limb)) for side in ("left", "right"))
    np.testing.assert_allclose(left, left[0], rtol=1e-9)
    np.testing.assert_allclose(right, left[0], rtol=1e-9)


def test_motion_is_smooth_and_is_motion(rng):
    joints = random_motion(rng, 60, COCO)
    step = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    assert step.max() < 0.4
    assert step.mean() > 0.01


def test_the_same_seed_is_the_same_motion():
    one, same, other = (random_motion(np.random.default_rng(s), 10, COCO) for s in (4, 4, 5))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_a_person_stays_where_the_cameras_look():
    places = [random_motion(np.random.default_rng(s), 20, COCO)[..., :2].mean((0, 1)) for s in range(40)]
    assert np.abs(np.mean(places, 0)).max() < 0.25
    assert np.abs(places).max() < 2

import numpy as np
import pytest

from models.motion import random_motion
from models.occluders import body_parts, capsules, clearance, occlude
from models.skeletons import SKELETONS, skeleton

COCO = skeleton("coco17")
POST = np.array([[[[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]]])  # one upright bone on the z axis
RADIUS = np.array([0.1])
CAMERA = np.array([[-3.0, 0.0, 1.0]])


def misses(joint, camera=CAMERA, ends=POST):
    return clearance(np.array([[joint]], float), camera, ends, RADIUS)[0, 0, 0]


@pytest.mark.parametrize(
    ("joint", "ratio"),
    [
        ((3, 0, 1), 0.0),  # straight through
        ((3, 0.1, 1), 0.5),  # halfway the ray is 5 cm aside
        ((3, 0.4, 1), 2.0),
    ],
)
def test_the_distance_of_a_ray_from_a_bone_is_told_in_radii(joint, ratio):
    assert misses(joint) == pytest.approx(ratio, abs=0.02)


def test_over_the_top_the_end_of_the_bone_counts():
    ray = np.array([3.9, 0, 2.6]) / np.linalg.norm([3.9, 0, 2.6])
    expected = np.linalg.norm(np.cross(ray, [3.0, 0, 1.0])) / RADIUS[0]
    assert misses((0.9, 0, 3.6)) == pytest.approx(expected, rel=1e-6)


def test_what_stands_behind_the_joint_hides_nothing():
    assert misses((-0.5, 0, 1)) == pytest.approx(5.3, abs=0.01)  # the ray ends 3 cm before the joint
    assert misses((-0.11, 0, 1)) > 1
    assert misses((0.2, 0, 1)) < 1


def test_a_bone_without_length_is_a_ball():
    ball = np.array([[[[0.0, 0.05, 1.0], [0.0, 0.05, 1.0]]]])
    assert misses((3, 0, 1), ends=ball) == pytest.approx(0.5)


@pytest.fixture
def standing():
    """A person facing +y with arms and legs apart; the left side at −x."""
    joints = {
        "nose": (0, 0.11, 1.55), "left_eye": (-0.03, 0.1, 1.59), "right_eye": (0.03, 0.1, 1.59),
        "left_ear": (-0.075, 0, 1.57), "right_ear": (0.075, 0, 1.57),
    }  # fmt: skip
    half = {"shoulder": (0.18, 1.4), "elbow": (0.42, 1.25), "wrist": (0.6, 1.1), "hip": (0.1, 0.92), "knee": (0.2, 0.5)}
    for side, sign in (("left", -1), ("right", 1)):
        joints |= {f"{side}_{joint}": (sign * x, 0, z) for joint, (x, z) in (half | {"ankle": (0.25, 0.08)}).items()}
    return np.array([[joints[name] for name in COCO.joints]], float)


def hidden_from(joints, camera):
    own = clearance(joints, np.array([camera], float), *capsules(joints, COCO), body_parts("coco17").own) < 1
    return {name for name, hides in zip(COCO.joints, own[0, 0], strict=True) if hides}


def test_who_stands_with_limbs_apart_hides_nothing_from_the_front(standing):
    assert hidden_from(standing, (0, 5, 1.2)) == set()


def test_the_head_hides_the_face_from_behind_and_the_far_ear_from_the_side(standing):
    assert hidden_from(standing, (0, -5, 1.6)) >= {"nose", "left_eye", "right_eye"}
    assert {"right_ear"} <= hidden_from(standing, (-5, 0, 1.57)) <= {n for n in COCO.joints if n.startswith("right_")}


def test_a_body_seen_from_the_side_hides_its_other_arm(standing):
    hidden = hidden_from(standing, (-5, 0, 1.4))
    assert {"right_shoulder", "right_elbow"} <= hidden
    assert not any(name.startswith("left_") for name in hidden)


def test_a_hand_behind_the_back_is_hidden_from_the_front_only(standing):
    standing[0, COCO.joints.index("left_elbow")] = (-0.3, -0.1, 1.15)
    standing[0, COCO.joints.index("left_wrist")] = (0, -0.2, 1.1)
    assert "left_wrist" in hidden_from(standing, (0, 5, 1.2))
    assert "left_wrist" not in hidden_from(standing, (0, -5, 1.2))


@pytest.mark.parametrize("name", SKELETONS)
def test_a_joint_is_not_hidden_by_what_it_belongs_to(name, rng):
    body = skeleton(name)
    joints = random_motion(rng, 5, body)
    ends, radii = capsules(joints, body)
    assert ends.shape == (5, len(radii), 2, 3)
    assert np.isfinite(ends).all()
    assert body_parts(name).own.any(0).all()  # every joint is part of something
    around = np.array([[4 * np.cos(a), 4 * np.sin(a), 1.5] for a in np.radians(range(0, 360, 60))])
    assert 0.05 < (clearance(joints, around, ends, radii, body_parts(name).own) < 1).mean() < 0.4


def test_bodies_of_another_size_hide_as_much(standing):
    small = 0.5 * standing
    assert hidden_from(small, (-2.5, 0, 0.7)) == hidden_from(standing, (-5, 0, 1.4))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.5])
def test_the_share_that_is_asked_for_is_hidden(share, rng):
    joints = np.concatenate([random_motion(rng, 4, COCO) for _ in range(2)])
    around = np.array([[4 * np.cos(a), 4 * np.sin(a), 1.5] for a in np.radians(range(0, 360, 40))])
    hidden, other = occlude(
        rng, joints, around, body=COCO, share=share, takes=[slice(0, 4), slice(4, 8)],
        another=lambda frames: random_motion(rng, frames, COCO),
    )  # fmt: skip
    assert hidden.shape == (8, 9, 17)
    assert hidden.mean() == pytest.approx(share, abs=0.02)
    assert other.shape == joints.shape


def test_neighbouring_joints_and_frames_are_hidden_together(rng):
    joints = random_motion(rng, 30, COCO)
    around = np.array([[4 * np.cos(a), 4 * np.sin(a), 1.5] for a in np.radians(range(0, 360, 90))])
    hidden, _ = occlude(
        rng, joints, around, body=COCO, share=0.25, takes=[slice(0, 30)],
        another=lambda frames: random_motion(rng, frames, COCO),
    )  # fmt: skip
    stays = hidden[1:][hidden[:-1]].mean()
    assert stays > 0.6  # by chance it would be a quarter

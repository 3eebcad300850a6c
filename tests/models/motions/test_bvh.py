import numpy as np
import pytest
from motion_files import BVH_JOINTS, bvh

from models.errors import InvalidInput
from models.motions.body import BODY
from models.motions.bvh import forward_kinematics, parse, read_bvh


def placed(*rotations):
    nodes, seconds, motion = parse(bvh(rotations))
    assert (seconds, motion.shape) == (0.025, (len(rotations), 3 + 3 * len(BVH_JOINTS)))
    return forward_kinematics(nodes, motion)


def read(tmp_path, text):
    path = tmp_path / "take.bvh"
    path.write_text(text)
    return read_bvh(path)


def joint(clip, name):
    return clip.joints[:, BODY.index(name)]


def test_the_rest_pose_is_the_sum_of_its_offsets():
    joints = placed({})
    np.testing.assert_allclose(joints["LeftHand"][0], [4 + 14 + 28 + 25, 90 + 25 + 20, 0])
    np.testing.assert_allclose(joints["RightFoot"][0], [-10, 90 - 5 - 80, 0])
    np.testing.assert_allclose(joints["Head_end"][0], [0, 90 + 25 + 25 + 10 + 18, 0])


def test_a_rotation_turns_what_hangs_on_the_joint():
    joints = placed({}, {"LeftArm": (90, 0, 0)})  # about z: the arm to the left goes up
    np.testing.assert_allclose(joints["LeftArm"][0], joints["LeftArm"][1])
    np.testing.assert_allclose(joints["LeftHand"][1] - joints["LeftArm"][1], [0, 53, 0], atol=1e-12)


def test_rotations_apply_in_the_order_in_which_they_are_listed():
    joints = placed({"LeftArm": (90, 90, 0)})  # R = Rz·Rx: along x, which Rx leaves alone and Rz turns up
    np.testing.assert_allclose((joints["LeftHand"] - joints["LeftArm"])[0], [0, 53, 0], atol=1e-12)
    joints = placed({"LeftArm": (90, 0, 90)})  # R = Rz·Ry: Ry turns x to −z, which Rz leaves alone
    np.testing.assert_allclose((joints["LeftHand"] - joints["LeftArm"])[0], [0, 0, -53], atol=1e-12)


def test_a_clip_is_upright_in_metres_with_every_joint(tmp_path):
    clip = read(tmp_path, bvh([{}, {}]))
    assert clip.fps == pytest.approx(40)
    assert np.isfinite(clip.joints).all()
    np.testing.assert_allclose(joint(clip, "left_hip")[0] - joint(clip, "left_ankle")[0], [0, 0, 0.86], atol=1e-9)
    span = joint(clip, "left_wrist") - joint(clip, "right_wrist")
    np.testing.assert_allclose(span[0], [2 * 71 * 0.86 / 80, 0, 0], atol=1e-9)
    assert (joint(clip, "nose")[0] - joint(clip, "neck")[0])[1] < -0.1  # the left hand at +x: it looks to −y


def test_the_shoulder_is_the_arm_where_there_is_a_collar_bone(tmp_path):
    clip = read(tmp_path, bvh([{}]))
    width = np.linalg.norm(joint(clip, "left_shoulder") - joint(clip, "right_shoulder"))
    assert width == pytest.approx(36 * 0.86 / 80)


@pytest.mark.parametrize("prefix", ["mixamorig:", "Bip01 ".strip() + "_", "rig:body:"])
def test_prefixes_of_other_programs_are_passed_over(prefix, tmp_path):
    np.testing.assert_allclose(
        read(tmp_path, bvh([{}], prefix=prefix)).joints, read(tmp_path, bvh([{}])).joints, atol=1e-12
    )


def test_other_names_are_understood(tmp_path):
    rename = {"LeftArm": "upperarm_l", "LeftForeArm": "lElbow", "LeftUpLeg": "thigh.L", "LeftLeg": "LeftKnee"}
    np.testing.assert_allclose(
        read(tmp_path, bvh([{}], rename=rename)).joints, read(tmp_path, bvh([{}])).joints, atol=1e-12
    )


def test_z_up_is_told_from_the_body(tmp_path):
    turned = bvh([{"Hips": (0, 90, 0)}] * 3).replace("\n0 90 0 ", "\n0 0 90 ")  # as a program with z up writes it
    np.testing.assert_allclose(read(tmp_path, turned).joints, read(tmp_path, bvh([{}] * 3)).joints, atol=1e-9)


def test_the_joint_that_is_missing_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"right_knee.*RightLower") as caught:
        read(tmp_path, bvh([{}], rename={"RightLeg": "RightLowerThing"}))
    assert caught.value.at == "right_knee"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("MOTION", "MOVEMENT"), "MOTION"),
        (("Frames: 1", "Frames: 2"), "need 114 numbers"),
        (("JOINT Spine", "BONE Spine"), "BONE"),
        (("OFFSET 0 25 0", "OFFSET 0 up 0"), "could not convert"),
        (("Frame Time:", "Frame Rate:"), "Frame Time"),
    ],
)
def test_what_is_no_bvh_is_said_to_be_none(change, said, tmp_path):
    with pytest.raises(InvalidInput, match=said):
        read(tmp_path, bvh([{}]).replace(*change, 1))

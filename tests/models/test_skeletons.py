import numpy as np
import pytest

from models.errors import InvalidRig
from models.skeletons import SKELETONS, skeleton

COUNTS = {"coco17": 17, "h36m17": 17, "panoptic19": 19, "totalcapture16": 16, "body25": 25}


def test_every_joint_set_has_as_many_joints_as_its_name_says():
    assert {name: len(s.joints) for name, s in SKELETONS.items()} == COUNTS


@pytest.mark.parametrize("name", SKELETONS)
def test_mirroring_twice_is_nothing_and_keeps_the_limbs(name):
    body = skeleton(name)
    flip = np.array(body.flip)
    np.testing.assert_array_equal(flip[flip], np.arange(len(flip)))
    for joint, other in zip(body.joints, flip, strict=True):
        assert joint.startswith("left_") == body.joints[other].startswith("right_")
    limbs = {frozenset(limb) for limb in body.limbs}
    assert {frozenset((int(flip[a]), int(flip[b]))) for a, b in limbs} == limbs


@pytest.mark.parametrize("name", SKELETONS)
def test_the_limbs_join_all_joints_into_one_body(name):
    body = skeleton(name)
    reached = {0}
    for _ in body.joints:
        reached |= {j for limb in body.limbs if reached & set(limb) for j in limb}
    assert reached == set(range(len(body.joints)))


def test_published_orders_are_kept():
    """Places that would break silently: COCO's nose first, Human3.6M's right leg first, OpenPose's mid hip at 8."""
    assert skeleton("coco17").joints[0] == "nose"
    assert skeleton("coco17").joints[9:11] == ("left_wrist", "right_wrist")
    assert skeleton("h36m17").joints[1:4] == ("right_hip", "right_knee", "right_ankle")
    assert skeleton("panoptic19").joints[2:4] == ("body_centre", "left_shoulder")
    assert skeleton("body25").joints[8] == "mid_hip"
    assert [skeleton("h36m17").joints[i] for i in skeleton("h36m17").head] == ["neck", "head"]


def test_an_unknown_joint_set_is_refused():
    with pytest.raises(InvalidRig) as caught:
        skeleton("coco18")
    assert (caught.value.at, caught.value.code) == ("joints", "unknown_joints")

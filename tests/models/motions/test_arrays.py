import numpy as np
import pytest

from models.errors import InvalidInput
from models.motion import random_motion
from models.motions.arrays import read_arrays
from models.motions.body import BODY
from models.skeletons import skeleton

COCO = skeleton("coco17")


@pytest.fixture
def joints(rng):
    return random_motion(rng, 12, COCO)


def save(path, moved, **changed):
    np.savez(path, **({"joints": moved, "names": np.array(COCO.joints), "fps": 30.0} | changed))
    return path


def own(clip):
    return clip.joints[:, [BODY.index(joint) for joint in COCO.joints]]


def test_joints_come_back_at_the_common_size(joints, tmp_path):
    clip = read_arrays(save(tmp_path / "take.npz", joints))
    scale = (own(clip)[0, 5, 2] - own(clip)[0, 15, 2]) / (joints[0, 5, 2] - joints[0, 15, 2])
    assert 0.85 < scale < 1.2
    moved, expected = own(clip) - own(clip)[:1, :1], scale * (joints - joints[:1, :1])
    np.testing.assert_allclose(moved, expected, atol=1e-9)
    assert (clip.fps, len(clip.joints), clip.joints[..., 2].min()) == (30, 12, 0)


def test_y_up_is_turned_upright(joints, tmp_path):
    lying = np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], axis=-1)
    one, other = read_arrays(save(tmp_path / "a.npz", joints)), read_arrays(save(tmp_path / "b.npz", lying, up="y"))
    np.testing.assert_allclose(other.joints, one.joints, atol=1e-9)


def test_frames_with_missing_joints_are_left_out(joints, tmp_path):
    joints[3, 7] = np.nan
    assert len(read_arrays(save(tmp_path / "take.npz", joints)).joints) == 11


@pytest.mark.parametrize(
    ("changed", "at", "said"),
    [
        ({"up": "x"}, "up", "y and z"),
        ({"fps": 0.0}, "fps", "not a rate"),
        ({"names": np.array(COCO.joints[:-1])}, "joints", "16 names"),
        ({"joints": np.full((2, 17, 3), np.nan)}, "joints", "no frame"),
        ({"joints": np.zeros((2, 17, 3))}, "left_knee", "no length"),
        ({"names": np.array([n.replace("left_wrist", "tail") for n in COCO.joints])}, "left_wrist", "tail"),
    ],
)
def test_the_place_of_a_fault_is_named(changed, at, said, joints, tmp_path):
    with pytest.raises(InvalidInput, match=said) as caught:
        read_arrays(save(tmp_path / "take.npz", joints, **changed))
    assert caught.value.at == at


def test_a_missing_array_is_named(joints, tmp_path):
    path = tmp_path / "take.npz"
    np.savez(path, joints=joints, fps=30)
    with pytest.raises(InvalidInput, match="names"):
        read_arrays(path)
    path.write_bytes(b"no zip")
    with pytest.raises(InvalidInput, match="no npz"):
        read_arrays(path)

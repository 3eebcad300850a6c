import numpy as np
import pytest
from motion_files import deepmimic_frame, swing, turn, write_deepmimic

from models.errors import InvalidInput
from models.motions.body import BODY
from models.motions.deepmimic import find_clips, forward_kinematics, read_deepmimic


def placed(**turned):
    """Joints of one frame, world axes forward, left, up, seen from the pelvis."""
    joints = forward_kinematics(np.array([deepmimic_frame(position=(1.0, 0.9, 2.0), **turned)]))
    np.testing.assert_allclose(joints["pelvis"][0], [1.0, -2.0, 0.9])
    return {joint: place[0] - [1.0, -2.0, 0.9] for joint, place in joints.items()}


def test_at_rest_the_limbs_hang_down_on_their_sides():
    joints = placed()
    np.testing.assert_allclose(joints["right_ankle"], [0, -0.084887, -0.421546 - 0.40987], atol=1e-12)
    np.testing.assert_allclose(joints["left_ankle"], [0, 0.084887, -0.421546 - 0.40987], atol=1e-12)
    np.testing.assert_allclose(joints["neck"], [0, 0, 0.236151 + 0.223894], atol=1e-12)
    np.testing.assert_allclose(
        joints["left_wrist"], [-0.02405, 0.18311, 0.236151 + 0.2435 - 0.274788 - 0.258947], atol=1e-12
    )


def test_a_bent_knee_brings_the_ankle_behind_it():
    joints = placed(right_knee=(-np.pi / 2,))
    np.testing.assert_allclose(joints["right_ankle"] - joints["right_knee"], [-0.40987, 0, 0], atol=1e-12)


def test_rotations_add_up_along_the_chain():
    joints = placed(left_shoulder=turn("x", 90), left_elbow=(np.pi / 2,))  # arm up to the left, forearm forward
    np.testing.assert_allclose(joints["left_elbow"] - joints["left_shoulder"], [0, 0.274788, 0], atol=1e-12)
    np.testing.assert_allclose(joints["left_wrist"] - joints["left_elbow"], [0.258947, 0, 0], atol=1e-12)
    turned = placed(root=turn("y", 90), left_shoulder=turn("x", 90), left_elbow=(np.pi / 2,))
    np.testing.assert_allclose(turned["left_wrist"] - turned["left_elbow"], [0, 0.258947, 0], atol=1e-12)


def test_face_and_feet_move_with_neck_and_ankles():
    rest, looking = placed(), placed(neck=turn("y", 90))
    assert rest["nose"][0] - rest["neck"][0] > 0.1  # forward
    np.testing.assert_allclose((looking["nose"] - looking["neck"])[1], (rest["nose"] - rest["neck"])[0], atol=1e-12)
    assert rest["left_big_toe"][0] - rest["left_ankle"][0] > 0.1
    assert rest["left_ear"][1] > 0 > rest["right_ear"][1]


def test_a_clip_stands_on_the_floor_at_its_own_rate(tmp_path):
    clip = read_deepmimic(swing(tmp_path / "humanoid3d_swing.txt", frames=21, seconds=0.05))
    assert (clip.name, clip.fps, clip.seconds) == ("humanoid3d_swing", pytest.approx(20), pytest.approx(1.0))
    assert clip.joints.shape == (21, len(BODY), 3)
    assert clip.joints[..., 2].min() == 0
    assert 1.5 < clip.joints[..., 2].max() < 1.9


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "no DeepMimic clip"), ('{"Loop": "wrap"}', "Frames"), ('{"Frames": [[0.1, 2, 3]]}', "44 numbers")],
)
def test_what_is_no_clip_is_said_to_be_none(text, said, tmp_path):
    path = tmp_path / "humanoid3d_bad.txt"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=said):
        read_deepmimic(path)


def test_a_clip_without_time_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="not a rate"):
        read_deepmimic(write_deepmimic(tmp_path / "humanoid3d_still.txt", [deepmimic_frame(seconds=0.0)]))


def test_the_package_is_found_by_its_files_alone(tmp_path, monkeypatch):
    folder = tmp_path / "pybullet_data" / "data" / "motions"
    folder.mkdir(parents=True)
    (tmp_path / "pybullet_data" / "__init__.py").write_text("raise RuntimeError('imported')")
    swing(folder / "humanoid3d_swing.txt")
    monkeypatch.syspath_prepend(tmp_path)
    assert [path.name for path in find_clips()] == ["humanoid3d_swing.txt"]


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(InvalidInput, match=r"rigfuse\[motions\]"):
        find_clips()

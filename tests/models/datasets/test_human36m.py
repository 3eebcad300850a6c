"""Human3.6M: the camera parameters of the toolbox, its annotations, its split and its damaged recordings.

The rotations and centres of S9 are the published ones (github.com/karfly/human36m-camera-parameters, MIT licence),
rounded; the four cameras' f, c, k and p likewise.
"""

import numpy as np
import pytest
from dataset_files import human36m_metadata, human36m_positions, person, pixels
from scipy.spatial.transform import Rotation

from models.datasets.human36m import open_dataset, read_positions, read_sequence
from models.datasets.human36m_metadata import read_metadata, rotation
from models.errors import DatasetError

S9_FIRST = np.array(
    [
        [-0.9033486204, 0.4269119783, 0.0413210932],
        [0.0415306110, 0.1829511401, -0.9822444139],
        [-0.4268916470, -0.8855930460, -0.1829985753],
    ]
)
S9_CENTRE = np.array([2044.458525, 4935.117280, 1481.227528])
S9_T = np.array([-321.2078336, 467.1345203, 5514.3303385])
INNER = np.array(
    [
        [1145.0494, 1143.7811, 512.5415, 515.4515, -0.207099, 0.247775, -0.003075, -0.000976, -0.001425],
        [1149.6757, 1147.5917, 508.8486, 508.0649, -0.194214, 0.240409, 0.006820, -0.002741, -0.001619],
        [1149.1407, 1148.7990, 519.8158, 501.4027, -0.208338, 0.255488, -0.002460, 0.001484, -0.000760],
        [1145.5113, 1144.7739, 514.9682, 501.8820, -0.198384, 0.218324, -0.008948, -0.000587, -0.001813],
    ]
)


def about(axis, angle):
    """A rotation about one axis, written out."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = [k for k in range(3) if k != axis]
    R = np.eye(3)
    R[i, i] = R[j, j] = c
    R[i, j], R[j, i] = (-s, s) if axis != 1 else (s, -s)
    return R


@pytest.fixture
def metadata(tmp_path):
    """S9's first camera as published; every other one the same, turned about z and moved."""
    angle = (0.4 * np.arange(4) + 0.01 * np.arange(11)[:, None]).ravel()
    turns = Rotation.from_rotvec(angle[:, None] * [0, 0, 1])
    matrices = S9_FIRST @ turns.as_matrix().reshape(11, 4, 3, 3)
    matrices[8, 0] = S9_FIRST
    angles = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_euler("XYZ").reshape(11, 4, 3)
    places = np.tile(S9_CENTRE, (11, 4, 1)) + 1000 * np.arange(4)[None, :, None]
    human36m_metadata(tmp_path, angles, places, INNER)
    return tmp_path / "metadata.xml"


def test_three_angles_are_turns_about_x_then_y_then_z():
    for a in np.random.default_rng(0).uniform(-3, 3, (5, 3)):
        np.testing.assert_allclose(rotation(a), about(0, a[0]) @ about(1, a[1]) @ about(2, a[2]), atol=1e-12)


def test_the_published_camera_comes_out_of_its_angles_and_place(metadata):
    camera = read_metadata(metadata).rig(9).cameras[0]
    assert (camera.id, camera.width, camera.height) == ("54138969", 1000, 1002)
    np.testing.assert_allclose(camera.R, S9_FIRST, atol=1e-8)
    np.testing.assert_allclose(camera.t, S9_T, atol=1e-3)
    np.testing.assert_allclose(camera.centre, S9_CENTRE, atol=1e-4)
    np.testing.assert_allclose(camera.dist, [-0.207099, 0.247775, -0.000976, -0.001425, -0.003075])


def test_a_point_is_seen_where_the_toolbox_puts_it(metadata):
    camera = read_metadata(metadata).rig(9).cameras[0]
    X = np.array([100.0, -200.0, 900.0])
    x, y = (S9_FIRST @ (X - S9_CENTRE))[:2] / (S9_FIRST @ (X - S9_CENTRE))[2]
    f, c, k, p = INNER[0, :2], INNER[0, 2:4], INNER[0, 4:7], INNER[0, 7:]
    r = x * x + y * y
    radial, tangential = 1 + k[0] * r + k[1] * r**2 + k[2] * r**3, p[0] * y + p[1] * x
    toolbox = f * (np.array([x, y]) * (radial + tangential) + np.array([p[1], p[0]]) * r) + c
    assert np.abs(pixels(camera, X) - toolbox).max() < 0.1  # OpenCV counts the tangential cross terms twice


def test_17_joints_of_32_arrive_in_millimetres_and_in_the_order_of_our_set(metadata):
    joints = 1000 * person("h36m17", 7)
    joints[3, 4] = np.nan
    file = metadata.parent / "S9/MyPoseFeatures/D3_Positions/Directions 1.cdf"
    human36m_positions(file, joints)
    np.testing.assert_allclose(read_positions(file), joints, atol=1e-3)
    found = read_sequence(metadata.parent, read_metadata(metadata), 9, 2, 1, every=3)
    assert (found.name, found.rig.units, found.frames.tolist()) == ("S9/Directions 1", "mm", [0, 3, 6])
    np.testing.assert_array_equal(found.rig.up, [0, 0, 1])
    with pytest.raises(DatasetError, match=r"S9/Videos/Directions 1\.54138969\.mp4"):
        next(found.images.read(found.rig.cameras[0], [0]))


def test_the_split_is_by_subject_and_leaves_damaged_recordings_out(metadata):
    root, joints = metadata.parent, 1000 * person("h36m17", 3)
    for place in ("S1/MyPoseFeatures/D3_Positions/Directions 1", "S9/Poses_D3_Positions/Directions 1"):
        human36m_positions(root / f"{place}.cdf", joints)
    human36m_positions(root / "S9/MyPoseFeatures/D3_Positions/Greeting.cdf", joints)
    human36m_positions(root / "S11/MyPoseFeatures/D3_Positions/Directions.cdf", joints)
    found = open_dataset(root, 4, 1)
    assert [s.name for s in found.train] == ["S1/Directions 1"]
    assert [s.name for s in found.test] == ["S9/Directions 1"]
    assert [line.partition(":")[0] for line in found.left_out] == ["S9/Greeting", "S11/Directions"]
    assert [c.id for c in open_dataset(root, ("58860488", "60457274"), 1).test[0].rig.cameras] == [
        "58860488",
        "60457274",
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("<w0>[", "<w0>[1 ", r"w0: expected numbers of shape \(300,\), found \(301,\)"),
        ("<w0>[", "<w0>[x", "w0: expected numbers"),
        ("<td>54138969</td>", "", "dbcameras/index2id: expected 54138969"),
        ("<td>S4</td>", "<td>four</td>", "expected subjects such as S1, found 'four'"),
        ("<td>7</td><td>2</td>", "<td>7</td>", "mapping row 14"),
        ("</metadata>", "", "not whole XML"),
        ("<metadata>", '<!DOCTYPE m [<!ENTITY a "b">]><metadata>', "declares entities"),
    ],
)
def test_wrong_metadata_is_told_by_its_element(metadata, old, new, told):
    text = metadata.read_text()
    assert old in text
    metadata.write_text(text.replace(old, new, 1))
    with pytest.raises(DatasetError, match=told):
        read_metadata(metadata)


def test_annotations_that_are_missing_cut_off_or_of_another_shape_are_told(metadata, tmp_path):
    with pytest.raises(DatasetError, match="S1, S5, S6, S7, S8"):
        open_dataset(metadata.parent, 4, 1)
    with pytest.raises(DatasetError, match="is missing"):
        read_positions(tmp_path / "none.cdf")
    file = tmp_path / "a.cdf"
    human36m_positions(file, 1000 * person("h36m17", 40))
    whole = file.read_bytes()
    for end in range(0, len(whole) - 64, len(whole) // 25):  # the last bytes are a checksum
        file.write_bytes(whole[:end])
        with pytest.raises(DatasetError, match=r"a\.cdf"):
            read_positions(file)
    with pytest.raises(DatasetError, match="has no recording of subject 9, action 3, take 1"):
        read_sequence(metadata.parent, read_metadata(metadata), 9, 3, 1)
    with pytest.raises(DatasetError, match="has no camera 1"):
        read_metadata(metadata).rig(9, ("1",))

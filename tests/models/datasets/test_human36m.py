"""Human3.6M: the camera parameters of the toolbox, its annotations, its split and its damaged recordings.

The angles and places are those of subject 9 in the toolbox's metadata.xml; the rotations and translations that they
must become are those of github.com/karfly/human36m-camera-parameters (MIT licence), made of the same file by others.
"""

import numpy as np
import pytest
from dataset_files import human36m_metadata, human36m_positions, person, pixels

from models.datasets.human36m import open_dataset, read_positions, read_sequence
from models.datasets.human36m_metadata import read_metadata, rotation
from models.errors import DatasetError

ANGLES = np.array(
    [
        [-1.38660153616472, -3.18292551468494, 0.441478757753939],
        [-1.36358353731923, 3.1489218957052, 2.7695783975645],
        [-1.34888172298336, -3.102960692595, -0.382788963877425],
        [-1.30216364078597, -3.20525794988117, -2.73209048976503],
    ]
)
PLACES = np.array(
    [
        [2044.45852504166, 4935.11727984793, 1481.22752752863],
        [1990.9596621548, -5123.81055155997, 1568.80481574437],
        [-1670.99215489414, 5211.98574196124, 1528.38799771705],
        [-1696.04347097168, -3827.09988628541, 1591.41272728883],
    ]
)
INNER = np.array(  # f, c, k, p
    [
        [1145.0494, 1143.7811, 512.5415, 515.4515, -0.2070989, 0.2477752, -0.0030752, -0.0014245, -0.0009757],
        [1149.6757, 1147.5917, 508.8486, 508.0649, -0.1942136, 0.2404085, 0.0068200, -0.0027409, -0.0016190],
        [1149.1407, 1148.7990, 519.8158, 501.4027, -0.2083382, 0.2554880, -0.0024605, -0.0007600, 0.0014844],
        [1145.5113, 1144.7739, 514.9682, 501.8820, -0.1983841, 0.2183237, -0.0089478, -0.0018134, -0.0005872],
    ]
)
S9_FIRST = np.array(
    [
        [-0.9033486204435297, 0.4269119782787646, 0.04132109321984796],
        [0.04153061098352977, 0.182951140059007, -0.9822444139329296],
        [-0.4268916470184284, -0.8855930460167476, -0.18299857527497945],
    ]
)
S9_LAST = np.array(
    [
        [0.915460708083783, -0.39734606500700814, 0.06362229623477154],
        [-0.04940628468469528, -0.26789167566119776, -0.9621814117644814],
        [0.39936288133525055, 0.8776959352388969, -0.26487569589663096],
    ]
)
S9_T = {
    0: [-321.2078335720134, 467.13452033013084, 5514.330338522134],
    3: [-69.271255294384, 422.1843366088847, 4457.893374979773],
}
S9_CENTRE = PLACES[0]


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
    """Every subject stands among subject 9's cameras, each a millimetre further along x than the one before."""
    places = PLACES + np.arange(-8.0, 3.0)[:, None, None] * [1, 0, 0]
    human36m_metadata(tmp_path, np.tile(ANGLES, (11, 1, 1)), places, INNER)
    return tmp_path / "metadata.xml"


def test_three_angles_are_turns_about_x_then_y_then_z():
    for a in np.random.default_rng(0).uniform(-3, 3, (5, 3)):
        np.testing.assert_allclose(rotation(a), about(0, a[0]) @ about(1, a[1]) @ about(2, a[2]), atol=1e-12)


def test_the_published_cameras_come_out_of_their_angles_and_places(metadata):
    cameras = read_metadata(metadata).rig(9).cameras
    assert [(c.id, c.width, c.height) for c in cameras] == [
        ("54138969", 1000, 1002), ("55011271", 1000, 1000), ("58860488", 1000, 1000), ("60457274", 1000, 1002),
    ]  # fmt: skip
    for index, R in ((0, S9_FIRST), (3, S9_LAST)):
        np.testing.assert_allclose(cameras[index].R, R, atol=1e-12)
        np.testing.assert_allclose(cameras[index].t, S9_T[index], atol=1e-8)
    np.testing.assert_allclose(cameras[0].dist, [-0.2070989, 0.2477752, -0.0014245, -0.0009757, -0.0030752])
    np.testing.assert_allclose(cameras[3].K, [[1145.5113, 0, 514.9682], [0, 1144.7739, 501.8820], [0, 0, 1]])


def test_each_subject_has_cameras_of_its_own(metadata):
    read = read_metadata(metadata)
    for subject in (1, 9, 11):
        centres = [camera.centre for camera in read.rig(subject).cameras]
        np.testing.assert_allclose(centres, PLACES + np.array([subject - 9, 0, 0]), atol=1e-8)


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

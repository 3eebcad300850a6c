"""Total Capture: metres and inches, the layout of its calibration, its split, and files that are wrong."""

import re

import numpy as np
import pytest
from dataset_files import (
    TC_NAMES,
    numbered,
    person,
    pixels,
    totalcapture_calibration,
    totalcapture_positions,
    video,
)

from models.datasets.totalcapture import open_dataset, read_calibration, read_positions, read_sequence
from models.errors import DatasetError

Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@pytest.fixture
def joints():
    """Frames [F, 16, 3] in metres, y up."""
    return person("totalcapture16", 9) @ Y_UP.T


@pytest.fixture
def root(tmp_path, totalcapture_cameras, joints):
    cameras = [c.with_pose(c.R @ Y_UP.T, c.t) for c in totalcapture_cameras]
    totalcapture_calibration(tmp_path, cameras)
    for place in ("s1/acting1", "S2/Walking3", "s1/walking2", "s4/acting3", "s4/acting1", "s1/rom9"):
        totalcapture_positions(tmp_path / place, joints)
    return tmp_path


def test_joints_arrive_in_metres_and_in_the_order_of_our_set(root, joints):
    np.testing.assert_allclose(read_positions(root / "s1/acting1/gt_skel_gbl_pos.txt"), joints, atol=1e-6)
    inches = np.fromstring((root / "s1/acting1/gt_skel_gbl_pos.txt").read_text().splitlines()[1], sep=" ")
    wrist = inches.reshape(21, 3)[TC_NAMES.index("RightHand")]
    np.testing.assert_allclose(wrist * 25.4, 1000 * joints[0, 15], atol=1e-3)


def test_cameras_see_points_where_the_published_formula_puts_them(root, totalcapture_cameras, joints):
    found = read_calibration(root / "calibration.cal")
    assert list(found) == ["1", "2", "3", "4", "5", "6", "7", "8"]
    for truth in totalcapture_cameras:
        camera = found[truth.id]
        assert (camera.width, camera.height) == (192, 108)
        seen = truth.R @ Y_UP.T @ joints[0, 9] + truth.t
        x, y = seen[:2] / seen[2]
        radial = 1 - 0.15 * (x * x + y * y)
        expected = truth.K @ [x * radial, y * radial, 1]
        np.testing.assert_allclose(pixels(camera, joints[0, 9]), expected[:2], atol=1e-4)


def test_the_split_is_the_published_one_and_up_is_measured(root):
    found = open_dataset(root, 4, 2)
    assert [s.name for s in found.train] == ["S1/acting1", "S2/walking3"]
    assert [s.name for s in found.test] == ["S1/walking2", "S4/acting3"]
    assert [c.id for c in found.train[0].rig.cameras] == ["1", "3", "5", "7"]
    assert found.train[0].rig.units == "m"
    assert found.train[0].frames.tolist() == [0, 2, 4, 6, 8]
    np.testing.assert_array_equal(found.train[0].rig.up, [0, 1, 0])
    assert [c.id for c in open_dataset(root, ("2", "8"), 1).test[0].rig.cameras] == ["2", "8"]
    assert len(open_dataset(root, 3, 1).test[0].rig.cameras) == 3


def test_videos_are_found_whatever_the_case_of_their_folder(root, totalcapture_cameras):
    found = read_sequence(root, 2, "walking3", cameras=["3", "5"])
    with pytest.raises(DatasetError, match=r"TC_S2_walking3_cam3\.mp4"):
        next(found.images.read(found.rig.cameras[0], [0]))
    video(root / "S2/Walking3/TC_S2_walking3_cam3.mp4", numbered(totalcapture_cameras[2], 5))
    images = list(found.images.read(found.rig.cameras[0], [0, 4, 6]))
    np.testing.assert_allclose([images[0].mean(), images[1].mean()], [20, 100], atol=8)
    assert images[2] is None


def test_the_published_first_camera_stands_upright_over_a_world_whose_y_points_up(tmp_path):
    """The block that the publisher's own notes quote: R to six digits, ``p' = R·p + t``."""
    block = (
        "0 1079 0 1919\n1284.32 1286.38 959.5 539.5\n1.40869e-05\n"
        "-0.99713 0.00504186 -0.0755413\n0.0221672 -0.93461 -0.354982\n-0.0723915 -0.355637 0.931816\n"
        "0.820506 0.59704 5.33591\n"
    )
    (tmp_path / "calibration.cal").write_text("1 1\n" + block)
    camera = read_calibration(tmp_path / "calibration.cal")["1"]
    assert (camera.width, camera.height) == (1920, 1080)
    low, high = (pixels(camera, (0, y, 0)) for y in (0.0, 1.7))
    assert high[1] < low[1] - 300
    assert ((low > 0) & (low < [1920, 1080])).all()


def changed(line, text):
    """The calibration with one line replaced; None takes the line out."""

    def change(lines):
        return lines[: line - 1] + ([] if text is None else [text]) + lines[line:]

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(1, "8 2"), "line 1: has distortion of order 2"),
        (changed(1, "9 1"), "expected 64 lines for 9 cameras, found 57"),
        (changed(1, "eight 1"), "line 1"),
        (changed(57, None), "expected 57 lines"),
        (changed(3, "1 2 3"), "line 3: expected 4 numbers, found 3"),
        (changed(4, "nan"), "line 4: holds a value that is not a finite number"),
        (changed(12, "x 0 0 0"), "line 12"),
        (changed(5, "1 1 1"), "line 2, R: R is not a rotation"),
        (lambda _: [], "line 1"),
    ],
)
def test_a_wrong_calibration_is_told_by_its_line(root, change, told):
    file = root / "calibration.cal"
    file.write_text("\n".join(change(file.read_text().splitlines())))
    with pytest.raises(DatasetError, match=re.escape(told)) as caught:
        read_calibration(file)
    assert str(file) in caught.value.message


def test_wrong_positions_are_told_by_their_line_and_damaged_joints_are_missing(root, joints):
    file = root / "s1/acting1/gt_skel_gbl_pos.txt"
    lines = file.read_text().splitlines()
    cases = {
        "line 1: expected joint names, among them Head": [lines[0].replace("Head", "Hat"), *lines[1:]],
        "line 2: expected joints": lines[:1],
        "line 4: expected 63 numbers, found 62": [*lines[:3], lines[3].rsplit(None, 1)[0], *lines[4:]],
        "line 5: could not convert": [*lines[:4], lines[4].replace(".", "_._", 1), *lines[5:]],
    }
    for told, text in cases.items():
        file.write_text("\n".join(text))
        with pytest.raises(DatasetError, match=re.escape(told)):
            read_positions(file)
    hips = lines[2].split("\t")
    file.write_text("\n".join([*lines[:2], "\t".join(["nan 0 0", *hips[1:]]), *lines[3:]]))
    assert np.argwhere(np.isnan(read_positions(file)[..., 0])).tolist() == [[1, 0]]
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="is not text"):
        read_positions(file)


def test_a_side_of_the_split_without_a_recording_is_told(root, tmp_path):
    for file in root.glob("[sS]*/*/gt_skel_gbl_pos.txt"):
        if file.parent.name in {"walking2", "acting3"}:
            file.unlink()
    with pytest.raises(DatasetError, match="has none of walking2, freestyle3, acting3"):
        open_dataset(root, 4, 1)
    with pytest.raises(DatasetError, match=r"calibration\.cal"):
        open_dataset(tmp_path / "nowhere", 4, 1)
    with pytest.raises(DatasetError, match="has no camera 9"):
        open_dataset(root, ("1", "9"), 1)

"""CMU Panoptic: what its files say arrives in our conventions, and a file that is wrong is told by name and place."""

import dataclasses
import json

import numpy as np
import pytest
from dataset_files import numbered, panoptic, panoptic_camera, panoptic_frame, pixels, video, write_json

from models.datasets.panoptic import open_dataset, read_bodies, read_cameras, read_sequence
from models.datasets.shots import labels_in_views
from models.errors import DatasetError

NAMES = ("00_03", "00_11", "00_24")


@pytest.fixture
def root(tmp_path, panoptic_rig, panoptic_joints):
    panoptic(tmp_path, "171204_pose1", panoptic_rig, panoptic_joints[:6], images=False)
    return tmp_path


def write_videos(folder, rig, count=6):
    for camera in rig.cameras:
        video(folder / f"hdVideos/hd_{camera.id}.mp4", numbered(camera, count))


def test_a_recording_arrives_in_centimetres_with_its_joints_in_their_order(root, panoptic_rig, panoptic_joints):
    write_videos(root / "171204_pose1", panoptic_rig)
    found = read_sequence(root / "171204_pose1", NAMES, every=2)
    assert found.rig.units == "cm"
    assert found.rig.joints == "panoptic19"
    assert found.frames.tolist() == [0, 2, 4]
    np.testing.assert_allclose(found.joints, panoptic_joints[:6:2])
    head, feet = found.joints[:, found.rig.skeleton.joints.index("nose")], found.joints[:, 8]
    assert ((head - feet) @ found.rig.up > 100).all()  # more than a metre above the left ankle


def test_cameras_see_points_where_the_published_formula_puts_them(root, panoptic_rig, panoptic_joints):
    found = read_cameras(root / "171204_pose1/calibration_171204_pose1.json")
    point = panoptic_joints[0, 4]
    for camera in panoptic_rig.cameras:
        seen = found[camera.id]
        x, y = (camera.R @ point + camera.t)[:2] / (camera.R @ point + camera.t)[2]  # the toolbox's own projection
        k1, k2, p1, p2, k3 = camera.dist
        r = x * x + y * y
        radial = 1 + k1 * r + k2 * r**2 + k3 * r**3
        u = x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x)
        v = y * radial + 2 * p2 * x * y + p1 * (r + 2 * y * y)
        expected = camera.K[0, 0] * u + camera.K[0, 2], camera.K[1, 1] * v + camera.K[1, 2]
        np.testing.assert_allclose(pixels(seen, point), expected, atol=1e-6)


def test_joints_that_were_not_reconstructed_or_are_doubtful_are_missing(tmp_path, panoptic_joints):
    body = panoptic_joints[0].copy()
    body[7] = np.nan
    document = panoptic_frame({3: body})
    document["bodies"][0]["joints19"][4 * 5 + 3] = 0.05
    write_json(tmp_path / "f.json", document)
    found = read_bodies(tmp_path / "f.json")[3]
    assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == [5, 7]


def test_of_several_people_frames_with_one_are_taken_or_the_person_asked_for(root, panoptic_rig, panoptic_joints):
    folder = root / "171204_pose1"
    write_videos(folder, panoptic_rig)
    two = panoptic_frame({0: panoptic_joints[1], 5: panoptic_joints[2]})
    write_json(folder / "hdPose3d_stage1_coco19/body3DScene_00000001.json", two)
    assert read_sequence(folder, NAMES).frames.tolist() == [0, 2, 3, 4, 5]
    fifth = read_sequence(folder, NAMES, body=5)
    assert fifth.frames.tolist() == [1]
    np.testing.assert_allclose(fifth.joints[0], panoptic_joints[2])
    with pytest.raises(DatasetError, match="person 9"):
        read_sequence(folder, NAMES, body=9)


def test_images_come_from_folders_or_videos_and_missing_ones_are_none(root, panoptic_rig, panoptic_joints):
    write_videos(root / "171204_pose1", panoptic_rig, count=4)
    found = read_sequence(root / "171204_pose1", NAMES)
    grey = [None if i is None else i.mean() for i in found.images.read(found.rig.cameras[1], [0, 2, 3, 5])]
    np.testing.assert_allclose(grey[:3], [20, 60, 80], atol=8)
    assert grey[3] is None
    panoptic(root, "other", panoptic_rig, panoptic_joints[:2], frames=[7, 9])
    found = read_sequence(root / "other", NAMES)
    images = list(found.images.read(found.rig.cameras[0], [7, 8, 9]))
    assert [image is None for image in images] == [False, True, False]
    assert images[0].shape == (240, 320, 3)


def test_a_single_recording_is_split_in_time_and_several_by_recording(tmp_path, panoptic_rig, panoptic_joints):
    panoptic(tmp_path, "a", panoptic_rig, panoptic_joints)
    found = open_dataset(tmp_path, 2, 1)
    assert found.train[0].frames[-1] + 1 < found.test[0].frames[0]
    assert len(found.train[0].rig.cameras) == 2
    for name in ("b", "c"):
        panoptic(tmp_path, name, panoptic_rig, panoptic_joints[:2])
    found = open_dataset(tmp_path, NAMES, 1)
    assert [s.name for s in found.train] == ["a", "b"]
    assert [s.name for s in found.test] == ["c"]


def test_labels_outside_an_image_are_no_labels(panoptic_rig, panoptic_joints):
    far = panoptic_joints[:1] + np.array([0, -900, 0])
    assert np.isfinite(labels_in_views(panoptic_rig, panoptic_joints[:1])).all()
    assert np.isnan(labels_in_views(panoptic_rig, far)).all()


def broken(entry, key, value):
    return {**entry, key: value}


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("K", [[1, 0, 0], [0, 1, 0]], r"cameras\[0\].K"),
        ("distCoef", [0, 0, 0, 0], r"cameras\[0\].distCoef: expected numbers of shape \(5,\)"),
        ("R", np.diag([1, 1, -1]).tolist(), r"cameras\[0\], R: R is not a rotation"),
        ("t", [["a"], [0], [0]], r"cameras\[0\].t"),
        ("K", [[float("nan"), 0, 1], [0, 1, 1], [0, 0, 1]], "not a finite number"),
        ("name", 7, "a name such as"),
    ],
)
def test_a_wrong_calibration_is_told_by_file_and_key(tmp_path, panoptic_rig, key, value, place):
    file = tmp_path / "calibration_x.json"
    write_json(file, {"cameras": [broken(panoptic_camera(panoptic_rig.cameras[0]), key, value)]})
    with pytest.raises(DatasetError, match=place) as caught:
        read_cameras(file)
    assert str(file) in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cameras": {}}', '{"cameras": []}', '{"cameras": [3]}'])
def test_what_is_no_calibration_is_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(DatasetError, match=r"c\.json"):
        read_cameras(tmp_path / "c.json")


@pytest.mark.parametrize(
    "bodies",
    [None, 3, [{"id": 1}], [{"joints19": []}], [{"id": 0, "joints19": [0.0] * 75}], [{"id": 0, "joints19": "x"}]],
)
def test_wrong_people_are_refused(tmp_path, bodies):
    write_json(tmp_path / "b.json", {"bodies": bodies})
    with pytest.raises(DatasetError, match=r"b\.json"):
        read_bodies(tmp_path / "b.json")


def test_every_cut_through_a_file_is_refused(tmp_path, panoptic_joints):
    text = json.dumps(panoptic_frame({0: panoptic_joints[0]}))
    for end in range(0, len(text) - 1, 97):
        (tmp_path / "b.json").write_text(text[:end])
        with pytest.raises(DatasetError):
            read_bodies(tmp_path / "b.json")


def test_missing_images_cameras_and_folders_are_told(root, tmp_path):
    with pytest.raises(DatasetError, match=r"neither hdImgs/00_03/ nor hdVideos/hd_00_03\.mp4"):
        read_sequence(root / "171204_pose1", NAMES)
    with pytest.raises(DatasetError, match="has no camera 00_77"):
        read_sequence(root / "171204_pose1", ["00_77"])
    with pytest.raises(DatasetError, match="4 cameras were asked for, but 0"):
        open_dataset(root, 4, 1)
    with pytest.raises(DatasetError, match="cannot be read"):
        open_dataset(tmp_path / "nowhere", 4, 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="has no folder <sequence>"):
        open_dataset(tmp_path / "empty", 4, 1)


def test_an_image_of_another_size_or_none_is_refused(root, panoptic_rig):
    folder = root / "171204_pose1"
    write_videos(folder, panoptic_rig)
    found = read_sequence(folder, NAMES)
    small = panoptic_rig.cameras[0]
    (folder / "hdVideos/hd_00_03.mp4").write_bytes(b"no video")
    with pytest.raises(DatasetError, match="no video that OpenCV can decode"):
        next(found.images.read(small, [0]))
    (folder / "hdVideos/hd_00_03.mp4").unlink()
    video(folder / "hdVideos/hd_00_03.mp4", numbered(dataclasses.replace(small, width=160, height=120), 2))
    with pytest.raises(DatasetError, match="images of 160×120; the calibration is of 320×240"):
        next(found.images.read(small, [0]))

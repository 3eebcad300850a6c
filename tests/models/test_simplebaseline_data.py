import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from stick_figures import source, two_cameras, write_capture

from models.crops import DEFAULT
from models.cutting import ViewCutter
from models.errors import InvalidImage, InvalidInput, InvalidLabels, InvalidRig, RigFuseError, SkeletonMismatch
from models.geometry import image_to_view
from models.simplebaseline_batches import to_input
from models.simplebaseline_data import capture, coco_people, gather, split


@pytest.fixture
def files(tmp_path):
    return write_capture(tmp_path, two_cameras())


def rewrite(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_training_sees_what_serving_sees(files, tmp_path):
    rig, read = two_cameras(), capture(*files)
    samples = gather([read], tmp_path / "views.npy")
    assert set(read.names) == {f"{frame:06d}/{camera.id}" for frame in range(10) for camera in rig.cameras}
    place = read.names.index("000003/right")
    raw = cv2.imread(str(files[2] / "000003" / "right.png"))[..., ::-1]
    assert np.array_equal(samples.images[place], ViewCutter(rig).cut(1, np.ascontiguousarray(raw)))
    label = json.loads(files[1].read_text())["frames"][3]["cameras"]["right"]
    expected = image_to_view(rig.cameras[1], rig.views[1], np.array(label)[:, :2])
    np.testing.assert_allclose(samples.joints_view[place], expected, atol=1e-9)


def test_a_person_who_is_small_in_the_view_is_shown_near_too(tmp_path):
    """In a wide volume: the window is filled by the person, and the drawn limbs lie where its joints do."""
    rig = replace(two_cameras(), volume=(np.array([-1.5, -3.0, 0.0]), np.array([1.5, 3.0, 2.0])))
    read = capture(*write_capture(tmp_path, rig))
    samples = gather([read], tmp_path / "views.npy")
    near = [i for i in range(1, len(read.names)) if read.names[i] == read.names[i - 1]]
    assert len(near) > 10
    for place in near:
        joints = samples.joints_view[place]
        side = (joints.max(0) - joints.min(0)).max()
        assert side == pytest.approx(64 / (1 + 2 * DEFAULT.margin))
        np.testing.assert_allclose((joints.max(0) + joints.min(0)) / 2, 31.5)
        x, y = np.rint(to_input(joints[[9, 10, 15, 16]])).astype(int).T  # wrists and ankles
        colours = samples.images[place][y, x].astype(int)
        assert np.ptp(colours, axis=1).min() > 10  # a limb, and not the grey behind it


def test_a_zip_is_read_as_its_folder_is(files, tmp_path):
    zipped = shutil.make_archive(str(tmp_path / "frames"), "zip", files[2])
    folder = gather([capture(*files)], tmp_path / "a.npy")
    assert gather([capture(files[0], files[1], tmp_path / zipped)], tmp_path / "b.npy").digest == folder.digest
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    assert folder.groups[:2] == (f"{files[1]}:000000",) * 2


def test_views_without_labels_need_no_image(files, tmp_path):
    rewrite(files[1], lambda labels: labels["frames"][0]["cameras"].pop("left"))
    (files[2] / "000000" / "left.png").unlink()
    read = capture(*files)
    assert len(gather([read], tmp_path / "views.npy").images) == len(read.names)
    assert "000000/left" not in read.names


def damage(path):
    path.write_bytes(path.read_bytes()[:40])


def other_size(path):
    cv2.imwrite(str(path), np.zeros((10, 20, 3), np.uint8))


BAD_FILES = {
    "missing joint": (1, lambda p: rewrite(p, lambda d: d["frames"][2]["cameras"]["left"].pop()), "Expected 17 rows"),
    "unknown camera": (
        1, lambda p: rewrite(p, lambda d: d["frames"][0]["cameras"].update(top=[])), "for camera 'top', which this rig",
    ),
    "labels not JSON": (1, lambda p: p.write_text("{"), "cannot be read as JSON"),
    "labels a list": (1, lambda p: p.write_text("[]"), "must hold a JSON object"),
    "rig without cameras": (0, lambda p: rewrite(p, lambda d: d.pop("cameras")), "is no rig"),
    "image missing": (2, lambda p: (p / "000004/left.png").unlink(), "has no image 000004/left.jpg"),
    "image damaged": (2, lambda p: damage(p / "000004/left.png"), "000004/left.png is not an image"),
    "image of another size": (2, lambda p: other_size(p / "000004/left.png"), "000004/left: Camera left gives"),
    "no such folder": (2, shutil.rmtree, "neither a folder nor a zip"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_wrong_is_named(files, tmp_path, name):
    index, spoil, message = BAD_FILES[name]
    spoil(files[index])
    with pytest.raises(RigFuseError, match=message) as caught:
        gather([capture(*files)], tmp_path / "views.npy")
    expected = {0: InvalidRig, 1: InvalidInput, 2: InvalidImage}[index]
    assert isinstance(caught.value, expected)


def test_one_backbone_has_one_skeleton(files, tmp_path):
    other = write_capture(tmp_path / "other", two_cameras("panoptic19"))
    with pytest.raises(SkeletonMismatch, match="coco17, panoptic19"):
        gather([capture(*files), capture(*other)], tmp_path / "views.npy")


def test_whole_frames_are_held_out(tmp_path):
    samples = gather([source(tmp_path, frames=25)], tmp_path / "views.npy")
    fit, held_out = split(samples, 0.2, seed=0)
    assert sorted([*fit, *held_out]) == list(range(len(samples.images)))
    frames = [{samples.groups[i] for i in part} for part in (fit, held_out)]
    assert not frames[0] & frames[1]
    assert len(frames[1]) in (4, 5, 6)  # two of ten blocks of two or three
    assert not np.array_equal(held_out, split(samples, 0.2, seed=1)[1])
    assert len(split(samples, 0, seed=0)[1]) == 0
    with pytest.raises(InvalidLabels, match="too few"):
        split(samples, 1.0, seed=0)


@pytest.fixture
def coco(tmp_path):
    """One image with a white dot at each of two people's noses."""
    image = np.zeros((480, 640, 3), np.uint8)
    people = []
    for number, (x, y, size) in enumerate(((100, 120, 80), (400, 200, 360))):
        nose = (x + size // 3, y + size // 4)
        cv2.circle(image, nose, 3 + size // 60, (255, 255, 255), -1)
        people.append(
            {"id": number, "image_id": 7, "bbox": [x, y, size, size / 2], "keypoints": [*nose, 2] + [0, 0, 0] * 16}
        )
    crowd = {"id": 8, "image_id": 7, "iscrowd": 1, "keypoints": [], "bbox": [0, 0, 5, 5]}
    unlabelled = people[0] | {"id": 9, "keypoints": [0] * 51}
    cv2.imwrite(str(tmp_path / "000007.png"), image)
    document = {"images": [{"id": 7, "file_name": "000007.png"}], "annotations": [*people, crowd, unlabelled]}
    (tmp_path / "people.json").write_text(json.dumps(document))
    return tmp_path / "people.json", tmp_path


def test_people_are_cut_out_of_coco_images(coco, tmp_path):
    samples = gather([coco_people(*coco)], tmp_path / "views.npy")
    assert (samples.skeleton, len(samples.images)) == ("coco17", 2)
    for image, joints in zip(samples.images, samples.joints_view, strict=True):
        rows, columns = np.nonzero(image[..., 0] > 128)
        middle = (np.array([columns.mean(), rows.mean()]) + 0.5) / 4 - 0.5
        np.testing.assert_allclose(joints[0], middle, atol=0.15)
        assert np.isnan(joints[1:]).all()


def test_people_of_one_image_stay_together(coco, tmp_path):
    samples = gather([coco_people(*coco)], tmp_path / "views.npy")
    assert len(set(samples.groups)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": [1, 1, 2]}, "needs 17 keypoints"),
        ({"bbox": [0, 0, 0, 10]}, "has no size"),
        ({"image_id": 1}, "an image that is not listed"),
        ({"bbox": None}, "is no COCO keypoints file"),
    ],
)
def test_a_wrong_annotation_is_named(coco, change, message):
    rewrite(coco[0], lambda document: document["annotations"][1].update(change))
    with pytest.raises(InvalidLabels, match=message):
        coco_people(*coco)

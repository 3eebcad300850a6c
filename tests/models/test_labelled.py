import copy

import numpy as np
import pytest
from model_rigs import studio

from models.errors import InsufficientLabels, InvalidLabels
from models.geometry import view_to_image
from models.labelled import (
    MIN_LABELLED_FRAMES,
    check_distinct,
    check_enough,
    coverage,
    labels_from_document,
    labels_to_view,
)

RIG = studio(3)


def document(frames=MIN_LABELLED_FRAMES, cameras=("cam0", "cam1")):
    rows = [[100.0 + j, 200.0 + 2 * j, 1 + j % 2] for j in range(17)]
    return {
        "frames": [{"frame": f"{i:03d}", "cameras": {c: copy.deepcopy(rows) for c in cameras}} for i in range(frames)]
    }


def test_labels_are_read_where_they_belong():
    written = document()
    written["frames"][2]["cameras"]["cam1"][5] = [None, None, 0]
    names, joints, visibility = labels_from_document(RIG, written)
    assert names == tuple(f"{i:03d}" for i in range(8))
    assert joints.shape == (8, 3, 17, 2)
    np.testing.assert_array_equal(joints[3, 1, 4], [104, 208])
    assert np.isnan(joints[:, 2]).all()
    assert np.isnan(joints[2, 1, 5]).all()
    assert (visibility[2, 1, 4], visibility[2, 1, 5], visibility[0, 0, 1], visibility[0, 2, 0]) == (1, 0, 2, 0)


def frame(change):
    return lambda d: change(d["frames"][1])


def rows(change):
    return lambda d: change(d["frames"][1]["cameras"]["cam1"])


ROWS = "labels.frames[1].cameras.cam1"
FAULTS = {
    "no frames": (lambda d: d.pop("frames"), "labels.frames", "invalid_labels"),
    "no name": (frame(lambda f: f.pop("frame")), "labels.frames[1].frame", "invalid_labels"),
    "a number for a name": (frame(lambda f: f.update(frame=3)), "labels.frames[1].frame", "invalid_labels"),
    "twice": (frame(lambda f: f.update(frame="000")), "labels.frames[1].frame", "invalid_labels"),
    "no cameras": (frame(lambda f: f.pop("cameras")), "labels.frames[1].cameras", "invalid_labels"),
    "an unknown camera": (
        frame(lambda f: f["cameras"].update(cam9=[])), "labels.frames[1].cameras.cam9", "unknown_camera",
    ),
    "a joint short": (rows(lambda r: r.pop()), ROWS, "invalid_labels"),
    "no visibility": (rows(lambda r: [row.pop() for row in r]), ROWS, "invalid_labels"),
    "ragged": (rows(lambda r: r[3].pop()), ROWS, "invalid_labels"),
    "words": (rows(lambda r: r.__setitem__(0, ["left", "right", 2])), ROWS, "invalid_labels"),
    "too big for a float": (rows(lambda r: r.__setitem__(0, [10**400, 1, 2])), ROWS, "invalid_labels"),
    "v of 3": (rows(lambda r: r[0].__setitem__(2, 3)), ROWS, "invalid_labels"),
    "v of a half": (rows(lambda r: r[0].__setitem__(2, 0.5)), ROWS, "invalid_labels"),
    "NaN": (rows(lambda r: r[0].__setitem__(0, float("nan"))), ROWS, "invalid_labels"),
    "null though visible": (rows(lambda r: r[0].__setitem__(1, None)), ROWS, "invalid_labels"),
    "far outside": (rows(lambda r: r[0].__setitem__(0, 1280 * 2.1)), ROWS, "invalid_labels"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_labels_at_fault_are_refused_with_their_place(fault):
    change, place, code = FAULTS[fault]
    written = document()
    change(written)
    with pytest.raises(InvalidLabels) as caught:
        labels_from_document(RIG, written)
    assert (caught.value.at, caught.value.code) == (place, code)


@pytest.mark.parametrize("written", [None, [], "labels", {"frames": {}}, {"frames": [3]}, {"frames": [[]]}])
def test_what_is_no_labels_document_is_refused(written):
    with pytest.raises(InvalidLabels):
        labels_from_document(RIG, written)


@pytest.mark.parametrize(
    "written", [document(frames=7), document(frames=0), document(cameras=("cam2",)), document(frames=50, cameras=())]
)
def test_too_few_labels_are_refused(written):
    with pytest.raises(InsufficientLabels) as caught:
        labels_from_document(RIG, written)
    assert caught.value.at == "labels.frames"


def test_a_frame_counts_with_four_joints_in_two_views():
    visibility = np.zeros((8, 3, 17), np.uint8)
    visibility[:, 0, :4], visibility[:, 1, :2], visibility[:, 2, 2:4] = 1, 2, 1
    check_enough(visibility)
    visibility[7, 2, 3] = 0
    with pytest.raises(InsufficientLabels):
        check_enough(visibility)


def test_labels_reach_the_view_they_were_drawn_in(rng):
    points = rng.uniform(5, 58, (4, 3, 17, 2))
    pairs = list(zip(RIG.cameras, RIG.views, strict=True))
    image = np.stack([view_to_image(c, v, points[:, i]) for i, (c, v) in enumerate(pairs)], axis=1)
    image[2, 1, 3] = np.nan
    back = labels_to_view(RIG, image)
    assert np.isnan(back[2, 1, 3]).all()
    back[2, 1, 3] = points[2, 1, 3]
    np.testing.assert_allclose(back, points, atol=1e-5)


def test_coverage_counts_what_was_labelled():
    joints, visibility = np.full((30, 3, 17, 2), np.nan), np.zeros((30, 3, 17), np.uint8)
    cells = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(16, 2)
    joints[:, 0, :16], visibility[:, 0, :16] = cells * 16 + 7.5, 2
    joints[:, 0, 16], visibility[:, 0, 16] = [-0.4, 63.4], 1  # in the first column of pixels and the last row
    joints[:, 1], visibility[:, 1] = [70, 20], 2
    told, warnings = coverage(RIG, joints, visibility)
    assert told["frames_with_two_views"] == 30
    assert told["cameras"]["cam0"] == {"labelled": 510, "hidden": 30, "inside_view": 1.0, "view_covered": 1.0}
    assert told["cameras"]["cam1"] == {"labelled": 510, "hidden": 0, "inside_view": 0.0, "view_covered": 0.0}
    assert told["cameras"]["cam2"] == {"labelled": 0, "hidden": 0, "inside_view": 0.0, "view_covered": 0.0}
    per_camera = [w for w in warnings if "distinct" not in w]
    assert [("cam0" in w, "cam1" in w, "cam2" in w) for w in per_camera] == [(0, 1, 0), (0, 1, 0), (0, 0, 1)]


def test_few_frames_are_warned_about():
    _, joints, visibility = labels_from_document(RIG, document())
    assert "8 labelled frames are few" in coverage(RIG, joints, visibility)[1][0]


def test_a_subset_keeps_frames_labels_and_heatmaps_together(labelled):
    part = labelled.subset([5, 2])
    assert part.frames == ("000005", "000002")
    np.testing.assert_array_equal(part.joints_view, labelled.joints_view[[5, 2]])
    np.testing.assert_array_equal(part.heatmaps[1], labelled.heatmaps[2])
    np.testing.assert_array_equal(part.visibility[0], labelled.visibility[5])


def test_a_pose_repeated_is_not_enough(rng):
    joints = np.tile(rng.uniform(10, 50, (3, 3, 17, 2)), (10, 1, 1, 1)) + rng.normal(0, 0.2, (30, 3, 17, 2))
    with pytest.raises(InsufficientLabels, match="only 3 distinct poses") as caught:
        check_distinct(joints)
    assert caught.value.at == "labels.frames"


def test_poses_that_are_often_repeated_are_warned_of(rng):
    joints = np.repeat(rng.uniform(10, 50, (10, 3, 17, 2)), 5, axis=0)
    told, warnings = coverage(RIG, joints, np.full(joints.shape[:3], 2, np.uint8))
    check_distinct(joints)
    assert told["distinct_poses"] == 10
    assert "50 labelled frames show only 10 distinct poses" in warnings[0]

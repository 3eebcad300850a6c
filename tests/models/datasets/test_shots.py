"""From a data set to views and labels: joints in common, thresholds, and recordings that were calibrated anew."""

from dataclasses import replace

import numpy as np
import pytest
from dataset_files import panoptic
from model_rigs import moved
from scipy.spatial.transform import Rotation

from models.cutting import ViewCutter
from models.datasets.alignment import in_world_of, world_motion
from models.datasets.panoptic import read_sequence
from models.datasets.sequence import LIMBS, Dataset, as_joints, spread
from models.datasets.shots import benchmark_rig, shots
from models.distortion import distort
from models.errors import DatasetError
from models.skeletons import skeleton

NAMES = ("00_03", "00_11", "00_24")


@pytest.fixture
def sequence(tmp_path, panoptic_rig, panoptic_joints):
    panoptic(tmp_path, "one", panoptic_rig, panoptic_joints[:6])
    return read_sequence(tmp_path / "one", NAMES)


def elsewhere(sequence, rotation, shift):
    """The same recording with another world, as another session's calibration has one."""
    other = moved(sequence.rig, rotation, shift)
    return replace(
        sequence, rig=replace(sequence.rig, cameras=other.cameras), joints=sequence.joints @ rotation.T + shift
    )


def test_only_limbs_are_common_to_two_sets_and_everything_to_one(panoptic_joints):
    found = as_joints(panoptic_joints, "panoptic19", "coco17")
    names = skeleton("coco17").joints
    assert {name for j, name in enumerate(names) if np.isfinite(found[:, j]).all()} == set(LIMBS)
    left = skeleton("panoptic19").joints.index("left_wrist")
    np.testing.assert_array_equal(found[:, names.index("left_wrist")], panoptic_joints[:, left])
    np.testing.assert_array_equal(as_joints(panoptic_joints, "panoptic19", "panoptic19"), panoptic_joints)


def test_labels_lie_on_what_the_view_shows(sequence, panoptic_rig):
    dataset = Dataset("panoptic", (sequence,), (sequence,))
    rig = benchmark_rig(dataset, "coco17")
    shot = shots(rig, [sequence])[0]
    assert shot.usable.tolist() == list(range(6))
    wrist, native = rig.skeleton.joints.index("right_wrist"), skeleton("panoptic19").joints.index("right_wrist")
    for view, camera in enumerate(panoptic_rig.cameras):
        seen = camera.R @ sequence.joints[2, native] + camera.t
        x, y = distort(camera, seen[:2] / seen[2])
        columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        blob = 255 * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / 1.5**2)
        cut = ViewCutter(shot.rig).cut(view, np.repeat(blob[..., None], 3, 2).astype(np.uint8))[..., 0].astype(float)
        centre = np.array([cut.sum(0) @ np.arange(256), cut.sum(1) @ np.arange(256)]) / cut.sum()
        np.testing.assert_allclose((centre + 0.5) / 4 - 0.5, shot.labels[2, view, wrist], atol=0.1)
    box = shot.labels[2, 0][np.isfinite(shot.labels[2, 0, :, 0])]
    assert 0.03 * np.ptp(box, axis=0).max() < shot.half_head[2, 0] < 0.08 * np.ptp(box, axis=0).max()


def test_a_world_turned_and_moved_is_brought_back(sequence):
    rotation = Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix()
    shift = np.array([40.0, -900.0, 15.0])
    Q, s = world_motion(sequence.rig, elsewhere(sequence, rotation, shift).rig)
    np.testing.assert_allclose(Q, rotation.T, atol=1e-9)
    np.testing.assert_allclose(s, -rotation.T @ shift, atol=1e-6)
    back = in_world_of(sequence.rig, elsewhere(sequence, rotation, shift))
    np.testing.assert_allclose(back.joints, sequence.joints, atol=1e-6)


def test_cameras_that_moved_between_recordings_keep_their_own_poses_and_the_views(sequence):
    rotation, shift = Rotation.from_rotvec([0.1, 0.2, -0.1]).as_matrix(), np.array([10.0, 0, 0])
    other = elsewhere(sequence, rotation, shift)
    turned = other.rig.cameras[1].with_pose(
        Rotation.from_rotvec([0, 0.02, 0]).as_matrix() @ other.rig.cameras[1].R, other.rig.cameras[1].t
    )
    other = replace(other, rig=replace(other.rig, cameras=(other.rig.cameras[0], turned, other.rig.cameras[2])))
    rig = benchmark_rig(Dataset("panoptic", (sequence,), (other,)), "coco17")
    first, second = shots(rig, [sequence, other])
    assert first.rig.digest == rig.digest != second.rig.digest
    assert [v.K.tolist() for v in second.rig.views] == [v.K.tolist() for v in rig.views]
    moved_px = np.linalg.norm(second.labels - first.labels, axis=-1)
    assert np.nanmedian(moved_px[:, 1]) > 3 * np.nanmedian(moved_px[:, 0])


def test_another_studio_is_refused(sequence):
    camera = sequence.rig.cameras[0]
    turned = camera.with_pose(Rotation.from_rotvec([0, 0.8, 0]).as_matrix() @ camera.R, camera.t)
    other = replace(sequence, rig=replace(sequence.rig, cameras=(turned, *sequence.rig.cameras[1:])))
    with pytest.raises(DatasetError, match="turned by up to"):
        in_world_of(sequence.rig, other)
    fewer = replace(sequence, rig=replace(sequence.rig, cameras=sequence.rig.cameras[1:]))
    with pytest.raises(DatasetError, match="has other cameras"):
        in_world_of(sequence.rig, fewer)


def test_without_labels_there_is_no_volume(sequence):
    empty = replace(sequence, joints=np.full_like(sequence.joints, np.nan))
    with pytest.raises(DatasetError, match="no labelled joint"):
        benchmark_rig(Dataset("panoptic", (empty,), (empty,)), "coco17")


def test_cameras_are_chosen_far_from_each_other(totalcapture_cameras):
    assert [c.id for c in spread(totalcapture_cameras, 2)] == ["1", "5"]
    assert len({c.id for c in spread(totalcapture_cameras, 5)}) == 5
    assert spread(totalcapture_cameras, 99) == totalcapture_cameras

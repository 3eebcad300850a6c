"""Triangulating whole bodies: what limbs decide, what they may not invent, and what must not matter."""

import numpy as np
import pytest
from model_rigs import in_units, moved, studio
from scipy.spatial.transform import Rotation

from models.body import Body, triangulate_body
from models.geometry import project
from models.heatmap import decode, render
from models.limbs import median_limb_lengths
from models.motion import random_motion
from models.skeletons import skeleton
from models.triangulation import triangulate

COCO = skeleton("coco17")
WRIST = COCO.joints.index("left_wrist")


@pytest.fixture(scope="module")
def person():
    """Joints [F, J, 3] in metres of three frames, and the body that they have."""
    joints = random_motion(np.random.default_rng(5), 3, COCO, roam=0.3)
    lengths = median_limb_lengths(joints, np.ones(joints.shape[:2]), COCO)
    return joints, Body(COCO, lengths, 1.0)


def seen(rig, joints):
    """Perfect heatmaps [F, V, J, 64, 64] of joints [F, J, 3]."""
    points = project(rig.projections(), joints.reshape(-1, 3)).reshape(*joints.shape[:2], -1, 2).swapaxes(1, 2)
    return points, 0.8 * render(points, 1.6)


def placed(rig, heatmaps, body):
    """The joints [F, J, 3] placed as a body, and one by one."""
    peaks, height = decode(heatmaps)
    views = heatmaps.shape[1]
    flat = peaks.swapaxes(1, 2).reshape(-1, views, 2), height.swapaxes(1, 2).reshape(-1, views)
    alone = triangulate(rig.projections(), *flat).points.reshape(len(heatmaps), -1, 3)
    return triangulate_body(rig.projections(), heatmaps, peaks, alone, body), alone


def test_joints_that_all_views_show_are_found(person):
    joints, body = person
    rig = studio(4)
    found, _ = placed(rig, seen(rig, joints)[1], body)
    error = np.linalg.norm(found.points.reshape(joints.shape) - joints, axis=-1)
    assert error.max() < 0.01
    assert found.inliers.all()
    assert np.nanmax(found.residual_px) < 0.3


def test_the_limb_settles_which_two_views_are_right(person):
    """Two views show the wrist, the two others agree, more strongly, on another place: only its forearm can tell."""
    joints, body = person
    rig = studio(4)
    heatmaps = seen(rig, joints)[1]
    wrong = joints.copy()
    wrong[:, WRIST] += (0.6, -0.5, 0.3)
    elsewhere = seen(rig, wrong)[0]
    heatmaps[:, 2:, WRIST] = 0.95 * render(elsewhere[:, 2:, WRIST], 1.6)
    found, alone = placed(rig, heatmaps, body)
    right = found.points.reshape(joints.shape)[:, WRIST]
    assert not (np.linalg.norm(alone[:, WRIST] - joints[:, WRIST], axis=-1) < 0.05).any()
    assert np.linalg.norm(right - joints[:, WRIST], axis=-1).max() < 0.03
    used = found.inliers.reshape(*joints.shape[:2], 4)[:, WRIST]
    assert (used == [True, True, False, False]).all()


def test_one_view_is_not_enough(person):
    """A wrist that one view shows is not placed, however well the limbs are known; the others are."""
    joints, body = person
    rig = studio(4)
    _, heatmaps = seen(rig, joints)
    heatmaps[:, 1:, WRIST] = 0
    found, _ = placed(rig, heatmaps, body)
    points = found.points.reshape(joints.shape)
    assert np.isnan(points[:, WRIST]).all()
    assert np.isfinite(np.delete(points, WRIST, axis=1)).all()
    assert (found.confidence.reshape(joints.shape[:2])[:, WRIST] == 0).all()


@pytest.mark.parametrize("size", [0.85, 1.15])
def test_a_person_of_another_size_keeps_it(person, size):
    joints, body = person
    rig = studio(4)
    other = joints * size
    found, _ = placed(rig, seen(rig, other)[1], body)
    assert np.linalg.norm(found.points.reshape(joints.shape) - other, axis=-1).max() < 0.015


def test_the_world_and_its_unit_do_not_matter(person, rng):
    joints, body = person
    rig = studio(3)
    heatmaps = seen(rig, joints)[1]
    heatmaps = np.maximum(heatmaps, 0.7 * render(rng.uniform(8, 55, (*heatmaps.shape[:3], 2)), 1.6)).astype(np.float32)
    before = placed(rig, heatmaps, body)[0].points
    rotation, shift = Rotation.from_euler("xyz", (20, -30, 70), degrees=True).as_matrix(), np.array([3.0, -2.0, 0.5])
    turned = placed(moved(rig, rotation, shift), heatmaps, body)[0].points
    in_mm = placed(in_units(rig, "mm"), heatmaps, Body(COCO, 1000 * body.lengths, 0.001))[0].points
    np.testing.assert_allclose(turned, before @ rotation.T + shift, atol=1e-6)
    np.testing.assert_allclose(in_mm, 1000 * before, atol=1e-3)


def test_nothing_seen_is_nowhere(person):
    joints, body = person
    rig = studio(4)
    found, _ = placed(rig, np.zeros_like(seen(rig, joints)[1]), body)
    assert np.isnan(found.points).all()
    assert not found.inliers.any()


def test_a_body_needs_limbs():
    few = np.full(len(COCO.limbs), np.nan)
    few[:5] = 0.3
    assert not Body(COCO, few, 1.0).known

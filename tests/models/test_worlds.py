import cv2
import numpy as np
import pytest
from model_rigs import in_units, studio

from models.geometry import view_to_image
from models.heatmap import decode
from models.motion import random_motion
from models.motions import MotionLibrary
from models.motions.body import clip
from models.skeletons import SKELETONS, skeleton
from models.worlds import Detector, disturb, look_at, make_world, random_rig

BODY25 = skeleton("body25")
STANDING = random_motion(np.random.default_rng(8), 1, BODY25).repeat(30, 0)
LIBRARY = MotionLibrary((clip("standing", 10.0, dict(zip(BODY25.joints, STANDING.swapaxes(0, 1), strict=True))),), 0.0)
PERFECT = Detector(hidden=0.0, noise=0.0, clutter=0.0)


def test_the_truth_in_the_views_is_the_truth_in_space(world):
    for v, (camera, view) in enumerate(zip(world.rig.cameras, world.rig.views, strict=True)):
        pixels = view_to_image(camera, view, world.joints_view[:, v])
        points, rvec = world.joints_world.reshape(-1, 3), cv2.Rodrigues(camera.R)[0]
        expected = cv2.projectPoints(points, rvec, camera.t, camera.K, camera.dist)[0].reshape(pixels.shape)
        np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_a_detector_without_faults_finds_every_joint_it_sees(rng):
    world = make_world(rng, studio(3), 3, PERFECT)
    shown = ~world.hidden & (np.abs(world.joints_view - 31.5) < 28).all(-1)
    assert shown.mean() > 0.7
    assert np.linalg.norm(decode(world.heatmaps)[0] - world.joints_view, axis=-1)[shown].max() < 0.3


def test_hidden_joints_are_mostly_lost_and_others_mostly_found(world):
    error = np.linalg.norm(decode(world.heatmaps)[0] - world.joints_view, axis=-1)
    assert (error[world.hidden] < 2).mean() < 0.5
    assert (error[~world.hidden] < 2).mean() > 0.9


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_as_many_joints_are_hidden_as_asked_for(share, rng):
    assert make_world(rng, studio(4), 12, Detector(hidden=share)).hidden.mean() == pytest.approx(share, abs=0.05)


def test_heatmaps_are_finite_and_between_zero_and_one(world):
    assert world.heatmaps.dtype == np.float32
    assert (world.heatmaps.min(), world.heatmaps.max() <= 1) == (pytest.approx(0, abs=0.01), True)


def test_a_seed_is_a_world():
    worlds = [make_world(np.random.default_rng(s), studio(2), 2) for s in (1, 1, 2)]
    np.testing.assert_array_equal(worlds[0].heatmaps, worlds[1].heatmaps)
    assert np.abs(worlds[0].joints_world - worlds[2].joints_world).max() > 0.05


def test_the_world_is_the_same_in_every_unit():
    metres, millimetres = (make_world(np.random.default_rng(1), in_units(studio(2), u), 2) for u in ("m", "mm"))
    np.testing.assert_allclose(millimetres.joints_world, 1000 * metres.joints_world, rtol=1e-12)
    np.testing.assert_allclose(millimetres.heatmaps, metres.heatmaps, atol=1e-4)


def test_labels_are_the_truth_inside_the_view_and_nothing_elsewhere(world, rng):
    exact, noisy = world.labelled(), world.labelled(rng, 0.5)
    inside = (np.abs(world.joints_view - 31.5) < 32).all(-1)
    np.testing.assert_array_equal(np.isfinite(exact.joints_view).all(-1), inside)
    np.testing.assert_array_equal(exact.joints_view[inside], world.joints_view[inside])
    np.testing.assert_array_equal(exact.visibility, np.where(inside, np.where(world.hidden, 1, 2), 0))
    assert (noisy.joints_view - exact.joints_view)[inside].std() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("seed", range(12))
def test_random_studios_see_most_of_the_person(seed):
    rng = np.random.default_rng(seed)
    world = make_world(rng, random_rig(rng, 3), 2, PERFECT)
    assert (np.abs(world.joints_view - 31.5) < 32).all(-1).mean() > 0.6


def test_disturbing_turns_every_camera_by_the_angle_where_it_stands(rng):
    rig = in_units(studio(4), "cm")
    off = disturb(rng, rig, 1.5, centimetres=2.0)
    for before, after in zip(rig.cameras, off.cameras, strict=True):
        angle = np.linalg.norm(cv2.Rodrigues(after.R @ before.R.T)[0])
        assert np.degrees(angle) == pytest.approx(1.5)
        assert np.linalg.norm(after.centre - before.centre) == pytest.approx(2.0)


def test_looking_at_a_point_puts_it_on_the_optical_axis():
    position, target = np.array([3.0, -2, 1]), np.array([0.5, 0.2, 1.4])
    R = look_at(position, target)
    np.testing.assert_allclose(R @ (target - position), [0, 0, np.linalg.norm(target - position)], atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    assert (R @ [0, 0, 1])[1] < -0.9  # the world's up is the image's up: minus y


@pytest.mark.parametrize("joints", SKELETONS)
def test_every_joint_set_has_worlds_of_recorded_motion(joints, rng):
    world = make_world(rng, studio(3, joints=joints), 4, Detector(hidden=0.25), clips=2, motion=LIBRARY)
    assert world.heatmaps.shape == (4, 3, len(SKELETONS[joints].joints), 64, 64)
    assert world.hidden.mean() == pytest.approx(0.25, abs=0.03)


def test_part_of_what_is_hidden_may_be_hidden_by_chance():
    shares, alike = [], []
    for chance in (0.0, 1.0):
        detector = Detector(hidden=0.25, chance=chance)
        hidden = make_world(np.random.default_rng(5), studio(4), 20, detector, motion=LIBRARY).hidden
        shares.append(hidden.mean())
        alike.append(hidden[1:][hidden[:-1]].mean())
    assert shares == pytest.approx([0.25, 0.25], abs=0.03)
    assert alike[0] > 0.95  # nothing moves, so what stands in the way stays there
    assert alike[1] < 0.4


def test_recorded_motion_is_what_stands_in_the_world():
    one, same, procedural = (
        make_world(np.random.default_rng(3), studio(2), 4, motion=motion) for motion in (LIBRARY, LIBRARY, None)
    )
    np.testing.assert_array_equal(one.heatmaps, same.heatmaps)
    assert np.abs(one.joints_world - procedural.joints_world).max() > 0.05
    moved = one.joints_world - one.joints_world[:, :1]
    np.testing.assert_allclose(moved, moved[:1].repeat(4, 0), atol=1e-9)  # the clip of the library stands still

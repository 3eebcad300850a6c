"""Crops that follow the person, on simulated frames that are seen through any view that is asked for."""

from dataclasses import replace

import numpy as np
import pytest
from model_rigs import UP, camera_at, studio

from models.baselines import calibrated_theta, default_gains
from models.checkpoint import Checkpoint
from models.crops import CropOptions, follow, person_views
from models.detector import Detector, detect
from models.errors import InvalidOptions
from models.fusion import Fuser
from models.geometry import project, view_to_image
from models.heatmap import HEATMAP_SIZE
from models.motion import random_motion
from models.pair_weights import PLAIN_SUM, LowRank
from models.rig import Rig
from models.runtime import Engine, Manner
from models.studios import disturb
from models.views import View
from models.weights import default_omega

DETECTOR = Detector(hidden=0.0, noise=0.35)
HALL = (np.array([-4.0, -4.0, 0.0]), np.array([4.0, 4.0, 2.5]))


def hall(volume=HALL, up=UP):
    """Cameras around a hall of 8 m, in which a person is small."""
    places = [(7.5, 6.5, 3.0), (-7.0, 7.0, 2.5), (-7.5, -6.5, 3.2), (6.5, -7.5, 2.8)]
    cameras = [camera_at(place, name=f"cam{i}", roll=(0, 9)[i % 2]) for i, place in enumerate(places)]
    return Rig(tuple(cameras), "coco17", "m", up, volume)


def fused(rig, width=1.0):
    """An engine with a checkpoint whose fields come from the calibration."""
    checkpoint = Checkpoint(
        method="metafuse", seed=0, rig_digest=rig.digest, capture_digest="", omega=default_omega(),
        theta=calibrated_theta(rig, width), gains=np.full(len(rig.pairs), default_gains(len(rig.cameras)), np.float32),
        R=np.stack([c.R for c in rig.cameras]), t=np.stack([c.t for c in rig.cameras]), repaired=False, project=True,
    )  # fmt: skip
    return Engine.load(rig, checkpoint)


def eyes(rig, joints, *, hidden=0.15, seed=0, asked=None):
    """A detector that sees joints [J, 3] through whatever views are asked for."""
    rng = np.random.default_rng(seed)
    lost = rng.random((1, len(rig.cameras), len(joints))) < hidden

    def see(views):
        if asked is not None:
            asked.append(views)
        there = rig.with_views(views)
        points = project(there.projections(), joints).swapaxes(0, 1)[None]
        return detect(np.random.default_rng(seed + 1), there, points, lost, DETECTOR)[0]

    return see


def person(rig, at=(2.5, -2.0), seed=3):
    """Joints [J, 3] of somebody who stands at a place on the floor."""
    joints = random_motion(np.random.default_rng(seed), 1, rig.skeleton, roam=0.0)[0]
    return joints + np.append(np.asarray(at) - joints[:, :2].mean(0), 0)


def errors_mm(poses, joints):
    return 1000 * np.linalg.norm(poses.pose3d[0] - joints, axis=-1)


def test_a_small_person_in_a_large_volume_is_found_more_exactly():
    rig = hall()
    engines = {"fused": fused(rig), "none": Engine.unfused(rig), "epipolar": Engine.epipolar(rig)}
    for engine in engines.values():
        fixed, followed = [], []
        for seed, place in enumerate([(2.5, -2.0), (-3.0, 1.0), (0.5, 3.0)]):
            joints = person(rig, place, seed)
            see = eyes(rig, joints, seed=seed)
            fixed.append(errors_mm(engine.poses(see(rig.views)[None]), joints))
            followed.append(errors_mm(follow(engine, see), joints))
        assert np.isfinite(followed).mean() >= np.isfinite(fixed).mean() - 0.02
        assert np.nanmean(followed) < 0.6 * np.nanmean(fixed)


def test_through_the_rigs_own_views_it_is_the_engine_itself(world, checkpoint):
    rig, theta = world.rig, checkpoint.weights()
    # The engine's own tables are of half precision, so that it could not be held to much.
    fuser = Fuser(checkpoint.omega, rig.pairs, theta, checkpoint.gains, 4, lasting=False)
    engine = Engine(rig, checkpoint.rig(rig), fuser, Manner(measure=True, project=True))
    one, two = engine.poses(world.heatmaps[:2]), engine.seeing(rig.views).poses(world.heatmaps[:2])
    np.testing.assert_allclose(two.heatmaps, one.heatmaps, atol=1e-4)
    np.testing.assert_allclose(two.poses2d, one.poses2d, atol=0.02)
    np.testing.assert_allclose(two.pose3d, one.pose3d, atol=1e-4)
    np.testing.assert_array_equal(one.view[1, 2], world.rig.views[2].K)


def test_the_window_holds_the_whole_person_upright_and_keeps_its_margin():
    rig = hall()
    joints = person(rig, seed=4)
    engine, options = fused(rig), CropOptions(margin=0.2, slack=0.0)
    poses = engine.poses(eyes(rig, joints, hidden=0.0)(rig.views)[None])
    views = person_views(engine, replace(poses, pose3d=joints[None]), options)
    seen = project(rig.with_views(views).projections(), joints)
    for v, (view, camera) in enumerate(zip(views, rig.cameras, strict=True)):
        low, high = seen[:, v].min(0), seen[:, v].max(0)
        assert (high - low).max() * 1.4 == pytest.approx(HEATMAP_SIZE, abs=1e-6)
        np.testing.assert_allclose((low + high) / 2, (HEATMAP_SIZE - 1) / 2, atol=1e-6)
        foot, P = joints.mean(0) * [1, 1, 0], view.K @ np.column_stack([camera.R, camera.t])
        ends = project(P[None], np.stack([foot, foot + np.array([0, 0, 1.5])]))[:, 0]
        assert abs(ends[1, 0] - ends[0, 0]) < 0.12 * (ends[0, 1] - ends[1, 1])


def test_windows_magnify_within_limits():
    rig = hall()
    joints = person(rig)
    engine = Engine.unfused(rig)
    poses = engine.poses(eyes(rig, joints)(rig.views)[None])
    dot = replace(poses, pose3d=np.repeat(joints[None, :1], 17, axis=1))
    near = person_views(engine, dot, CropOptions(least_m=0.0, max_zoom=8.0))
    assert [v.scale / f.scale for v, f in zip(near, rig.views, strict=True)] == pytest.approx([8.0] * 4)
    metre = person_views(engine, dot, CropOptions(least_m=1.0, max_zoom=50.0))
    for view, camera in zip(metre, rig.cameras, strict=True):
        depth = (camera.R @ joints[0] + camera.t)[2]
        assert HEATMAP_SIZE / view.scale * depth == pytest.approx(1.0)
    wide = person_views(engine, poses, CropOptions(margin=9.0))
    assert [v.scale for v in wide] == pytest.approx([v.scale for v in rig.views])


def test_a_joint_gone_astray_does_not_widen_the_window():
    rig = hall()
    engine, joints = Engine.unfused(rig), person(rig)
    poses = engine.poses(eyes(rig, joints, hidden=0.0)(rig.views)[None])
    straight = person_views(engine, replace(poses, pose3d=joints[None]))
    astray = joints.copy()
    astray[9] += [3.0, 0, 0]
    bent = person_views(engine, replace(poses, pose3d=astray[None]))
    assert [v.scale for v in bent] == pytest.approx([v.scale for v in straight], rel=0.15)


def test_without_joints_in_space_each_view_follows_its_own_peaks():
    rig = hall()
    engine, joints = Engine.unfused(rig), person(rig)
    poses = engine.poses(eyes(rig, joints, hidden=0.0)(rig.views)[None])
    blind = replace(poses, pose3d=np.full_like(poses.pose3d, np.nan))
    seen = project(rig.with_views(person_views(engine, blind)).projections(), joints)
    assert np.abs(seen - (HEATMAP_SIZE - 1) / 2).max() < HEATMAP_SIZE / 2 + 3


@pytest.mark.parametrize("up", [None, UP])
def test_where_nobody_is_the_fixed_views_are_kept(up):
    rig = hall(up=up)
    engine, asked = fused(rig), []

    def dark(views):
        asked.append(views)
        return np.zeros((4, 17, 64, 64), np.float32)

    poses = follow(engine, dark)
    assert np.isnan(poses.pose3d).all()
    assert asked == [rig.views]
    np.testing.assert_array_equal(poses.view[0], [view.K for view in rig.views])


def test_a_camera_that_the_person_is_behind_keeps_its_view():
    rig = hall()
    engine, joints = Engine.unfused(rig), person(rig)
    poses = engine.poses(eyes(rig, joints)(rig.views)[None])
    behind = rig.cameras[0].centre * 1.5
    elsewhere = replace(poses, pose3d=(joints - joints.mean(0) + behind)[None])
    assert person_views(engine, elsewhere)[0] is rig.views[0]


def test_a_person_who_fills_the_view_is_not_looked_at_twice():
    joints = person(hall(), (0, 0))
    rig = hall(volume=(joints.min(0) - 0.25, joints.max(0) + 0.25))
    asked = []
    follow(Engine.unfused(rig), eyes(rig, joints, hidden=0.0, asked=asked), options=CropOptions(margin=0.2, slack=0.0))
    assert len(asked) <= 2
    wide = []
    follow(Engine.unfused(hall()), eyes(hall(), joints, hidden=0.0, asked=wide))
    assert 2 <= len(wide) <= 3


def test_raw_pixels_are_those_of_the_window():
    rig = hall()
    poses = follow(fused(rig), eyes(rig, person(rig)))
    assert poses.view.shape == (1, 4, 3, 3)
    for v, camera in enumerate(rig.cameras):
        assert poses.view[0, v, 0, 0] != rig.views[v].K[0, 0]
        expected = view_to_image(camera, View(poses.view[0, v]), poses.joints_view[0, v])
        np.testing.assert_allclose(poses.poses2d[0, v], expected)


def test_cameras_that_nobody_repaired_may_disagree_in_a_window_as_much_as_in_the_view():
    """A degree is two pixels of the view and six of the window: joints must not get lost by looking closer."""
    rig = hall()
    sent = disturb(np.random.default_rng(0), rig, 1.0)
    joints = person(rig)
    poses = follow(Engine.unfused(sent), eyes(rig, joints, hidden=0.0))
    fixed = Engine.unfused(sent).poses(eyes(rig, joints, hidden=0.0)(rig.views)[None])
    assert np.isfinite(poses.pose3d[0, :, 0]).sum() >= np.isfinite(fixed.pose3d[0, :, 0]).sum()
    assert np.nanmedian(errors_mm(poses, joints)) < np.nanmedian(errors_mm(fixed, joints))
    assert poses.view[0, 0, 0, 0] != fixed.view[0, 0, 0, 0]


def test_units_do_not_matter():
    rig = hall()
    centimetres = replace(
        rig, units="cm", cameras=tuple(c.with_pose(c.R, 100 * c.t) for c in rig.cameras),
        volume=tuple(100 * corner for corner in HALL),
    )  # fmt: skip
    joints = person(rig)
    one = follow(Engine.unfused(rig), eyes(rig, joints))
    two = follow(Engine.unfused(centimetres), eyes(centimetres, 100 * joints))
    np.testing.assert_allclose(two.pose3d / 100, one.pose3d, atol=1e-3)


def test_dense_weights_cannot_follow():
    rig = studio(2)
    dense = [LowRank(np.zeros((4096, 1)), np.zeros((1, 4096)))] * 2
    engine = Engine(rig, rig, Fuser(PLAIN_SUM, rig.pairs, dense, np.ones(2), 2))
    assert not engine.follows
    assert Engine.unfused(rig).follows
    assert Engine.epipolar(rig).follows
    with pytest.raises(InvalidOptions, match="dense weights"):
        engine.seeing(rig.views)

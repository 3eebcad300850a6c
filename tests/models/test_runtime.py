import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from model_rigs import in_units, moved, reordered, studio
from scipy.spatial.transform import Rotation

from models.errors import CheckpointMismatch, InvalidHeatmaps, InvalidOptions
from models.geometry import project, view_to_image
from models.pencil import KNOTS
from models.runtime import Engine
from models.triangulation import triangulate
from models.worlds import Detector, make_world

KINDS = {"unfused": Engine.unfused, "triangulated": Engine.triangulated, "epipolar": Engine.epipolar}
METHODS = ("robust", "dlt", "pictorial")


@pytest.fixture(scope="module")
def easy():
    return make_world(np.random.default_rng(5), studio(4), 3, Detector(hidden=0.1))


@pytest.mark.parametrize("triangulation", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_joints_in_space_are_near_the_truth(kind, triangulation, easy):
    poses = KINDS[kind](easy.rig).poses(easy.heatmaps[:1], triangulation)
    error = np.linalg.norm(poses.pose3d - easy.joints_world[:1], axis=-1)
    assert np.isfinite(error).mean() > 0.8
    assert np.nanmedian(error) < (0.2 if triangulation == "dlt" else 0.06)


def test_a_checkpoint_finds_what_the_views_lost(world, checkpoint):
    maps, hidden = world.heatmaps[:6], world.hidden[:6] & (np.abs(world.joints_view[:6] - 31.5) < 30).all(-1)
    off = {
        name: np.linalg.norm(engine.poses(maps).joints_view - world.joints_view[:6], axis=-1)[hidden]
        for name, engine in (("none", Engine.unfused(world.rig)), ("fused", Engine.load(world.rig, checkpoint)))
    }
    assert (off["fused"] < 3).mean() > (off["none"] < 3).mean() + 0.3


@pytest.mark.parametrize("kind", [*KINDS, "loaded"])
@pytest.mark.parametrize("triangulation", METHODS)
def test_no_frames_and_empty_heatmaps_give_no_joints_in_space(kind, triangulation, world, checkpoint):
    engine = Engine.load(world.rig, checkpoint) if kind == "loaded" else KINDS[kind](world.rig)
    for frames in (0, 2):
        poses = engine.poses(np.zeros((frames, 4, 17, 64, 64), np.float16), triangulation)
        assert poses.pose3d.shape == (frames, 17, 3)
        assert np.isnan(poses.pose3d).all()
        assert poses.poses2d.shape == (frames, 4, 17, 2)
        assert np.isnan(poses.poses2d).all()
        assert not poses.confidence2d.any()
        assert not poses.confidence.any()
        assert not poses.views_used.any()
        assert np.isnan(poses.reprojection_px).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_heatmaps_that_are_not_finite_are_refused(bad, easy):
    maps = easy.heatmaps.copy()
    maps[1, 2, 3, 4, 5] = bad
    with pytest.raises(InvalidHeatmaps) as caught:
        Engine.unfused(easy.rig).poses(maps)
    assert caught.value.at == "heatmaps"


@pytest.mark.parametrize("shape", [(4, 17, 64, 64), (1, 3, 17, 64, 64), (1, 4, 16, 64, 64), (1, 4, 17, 32, 32)])
def test_heatmaps_of_another_shape_are_refused(shape, easy):
    with pytest.raises(InvalidHeatmaps) as caught:
        Engine.unfused(easy.rig).poses(np.zeros(shape, np.float32))
    assert caught.value.at == "heatmaps"


def test_an_unknown_triangulation_is_refused(easy):
    with pytest.raises(InvalidOptions) as caught:
        Engine.unfused(easy.rig).poses(easy.heatmaps, "guess")
    assert caught.value.at == "triangulation"


def test_negative_heatmaps_are_no_evidence(world, checkpoint):
    poses = Engine.load(world.rig, checkpoint).poses(world.heatmaps[:1] - 3)
    assert np.isnan(poses.pose3d).all()


def test_2d_joints_are_the_views_joints_in_the_raw_image(easy):
    poses = Engine.epipolar(easy.rig).poses(easy.heatmaps)
    for v, (camera, view) in enumerate(zip(easy.rig.cameras, easy.rig.views, strict=True)):
        np.testing.assert_allclose(poses.poses2d[:, v], view_to_image(camera, view, poses.joints_view[:, v]))


def test_with_projection_2d_joints_are_the_joints_in_space(easy):
    poses = Engine.triangulated(easy.rig).poses(easy.heatmaps)
    known = np.isfinite(poses.pose3d).all(-1)
    seen = project(easy.rig.projections(), poses.pose3d[known])
    np.testing.assert_allclose(poses.joints_view.swapaxes(1, 2)[known], seen, atol=1e-9)
    loose = Engine.unfused(easy.rig).poses(easy.heatmaps)
    np.testing.assert_array_equal(poses.joints_view.swapaxes(1, 2)[~known], loose.joints_view.swapaxes(1, 2)[~known])


def test_without_fusion_it_is_decoding_and_triangulating(easy):
    poses = Engine.unfused(easy.rig).poses(easy.heatmaps)
    flat = poses.joints_view.swapaxes(1, 2).reshape(-1, 4, 2)
    found = triangulate(easy.rig.projections(), flat, easy.heatmaps.max((-1, -2)).swapaxes(1, 2).reshape(-1, 4))
    np.testing.assert_allclose(poses.pose3d.reshape(-1, 3), found.points)
    np.testing.assert_array_equal(poses.views_used.ravel(), found.inliers.sum(1) * np.isfinite(found.points[:, 0]))


@pytest.mark.parametrize("kind", ["epipolar", "loaded"])
def test_a_rigid_motion_of_the_world_moves_the_poses_and_nothing_else(kind, world, checkpoint):
    turn = Rotation.from_euler("xyz", [20, -50, 70], degrees=True).as_matrix()
    shift, maps = np.array([3.0, -2, 0.7]), world.heatmaps[:3]
    there = moved(world.rig, turn, shift)
    if kind == "loaded":
        R = checkpoint.R @ turn.T
        other = replace(checkpoint, rig_digest=there.digest, R=R, t=checkpoint.t - R @ shift)
        one, two = Engine.load(world.rig, checkpoint).poses(maps), Engine.load(there, other).poses(maps)
    else:
        one, two = Engine.epipolar(world.rig).poses(maps), Engine.epipolar(there).poses(maps)
    np.testing.assert_allclose(two.pose3d, one.pose3d @ turn.T + shift, atol=2e-3)
    np.testing.assert_allclose(two.poses2d, one.poses2d, atol=0.5)
    np.testing.assert_allclose(two.confidence, one.confidence, atol=1e-3)
    np.testing.assert_array_equal(two.views_used, one.views_used)


@pytest.mark.parametrize(("units", "triangulation"), [("cm", "robust"), ("mm", "dlt"), ("mm", "pictorial")])
def test_units_scale_the_poses_and_change_nothing_else(units, triangulation, easy):
    other, maps = in_units(easy.rig, units), easy.heatmaps[:1]
    one, two = (Engine.epipolar(rig).poses(maps, triangulation) for rig in (easy.rig, other))
    np.testing.assert_allclose(two.pose3d * other.metres_per_unit, one.pose3d, atol=1e-3)
    np.testing.assert_allclose(two.reprojection_px, one.reprojection_px, atol=0.1)
    np.testing.assert_allclose(two.confidence, one.confidence, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_cameras_does_not_matter(kind, easy):
    order = [2, 0, 3, 1]
    one = KINDS[kind](easy.rig).poses(easy.heatmaps)
    two = KINDS[kind](reordered(easy.rig, order)).poses(easy.heatmaps[:, order])
    np.testing.assert_allclose(two.pose3d, one.pose3d, atol=1e-3)
    np.testing.assert_allclose(two.poses2d, one.poses2d[:, order], atol=0.5)


@pytest.mark.parametrize("kind", ["epipolar", "loaded"])
def test_frames_do_not_depend_on_their_neighbours(kind, world, checkpoint):
    engine = Engine.load(world.rig, checkpoint) if kind == "loaded" else Engine.epipolar(world.rig)
    both = engine.poses(world.heatmaps[:2])
    np.testing.assert_allclose(engine.poses(world.heatmaps[1:2]).pose3d[0], both.pose3d[1], atol=1e-4)


def test_confidence_is_between_zero_and_one(world, checkpoint):
    poses = Engine.load(world.rig, checkpoint).poses(world.heatmaps[:3] * 5)
    for values in (poses.confidence, poses.confidence2d):
        assert values.min() >= 0
        assert 0.1 < values.max() <= 1


def test_a_checkpoint_of_another_rig_is_refused(checkpoint):
    with pytest.raises(CheckpointMismatch):
        Engine.load(studio(4, volume=None), checkpoint)


def test_memory_is_told(easy):
    assert Engine.unfused(easy.rig).nbytes == 0
    tables = 12 * KNOTS * 4096 * 4
    assert tables < Engine.epipolar(easy.rig).nbytes < 1.15 * tables


@pytest.mark.parametrize("kind", ["epipolar", "loaded"])
def test_the_memory_told_is_what_is_taken(kind, world, checkpoint):
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        engine = Engine.load(world.rig, checkpoint) if kind == "loaded" else Engine.epipolar(world.rig)
        told = engine.nbytes
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert told == pytest.approx(taken, rel=0.03)


@pytest.mark.parametrize("triangulation", METHODS)
@pytest.mark.parametrize("kind", ["unfused", "loaded"])
def test_what_is_found_does_not_depend_on_keeping_the_heatmaps(kind, triangulation, world, checkpoint):
    engine = Engine.load(world.rig, checkpoint) if kind == "loaded" else Engine.unfused(world.rig)
    maps = world.heatmaps[:1]
    kept, dropped = (engine.poses(maps, triangulation, keep=keep) for keep in (True, False))
    assert (kept.heatmaps.shape, dropped.heatmaps.shape) == (maps.shape, (0, *maps.shape[1:]))
    np.testing.assert_array_equal(dropped.pose3d, kept.pose3d)
    np.testing.assert_array_equal(dropped.poses2d, kept.poses2d)


def test_joined_poses_come_apart_again(world, checkpoint):
    engine = Engine.load(world.rig, checkpoint)
    together = engine.poses(world.heatmaps[:3])
    for part, start in zip(together.split([1, 2]), (0, 1), strict=True):
        np.testing.assert_array_equal(part.pose3d, together.pose3d[start : start + len(part.pose3d)])
        alone = engine.poses(world.heatmaps[start : start + len(part.pose3d)])
        np.testing.assert_allclose(part.pose3d, alone.pose3d, atol=1e-6)
        np.testing.assert_allclose(part.poses2d, alone.poses2d, atol=1e-3)


def test_nothing_is_contributed_without_fusion(easy):
    assert not Engine.unfused(easy.rig).contributions(easy.heatmaps).any()
    engine = Engine.epipolar(easy.rig)
    added = engine.contributions(easy.heatmaps).sum(2)
    np.testing.assert_allclose(easy.heatmaps + added, engine.poses(easy.heatmaps).heatmaps, rtol=1e-4, atol=1e-5)

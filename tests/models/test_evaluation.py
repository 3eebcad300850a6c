import numpy as np
import pytest
from model_rigs import moved, studio

from models import evaluation
from models.runtime import Engine
from models.worlds import Detector, disturb, make_world


def test_labels_triangulate_to_the_truth(world):
    labels = world.labelled()
    points = evaluation.labels_in_space(world.rig, labels)
    shared = np.isfinite(labels.joints_view).all(-1).sum(1) >= 2
    assert np.isfinite(points[shared]).all()
    np.testing.assert_allclose(points[shared], world.joints_world[shared], atol=1e-5)
    assert evaluation.label_agreement(labels, points) == 1
    assert np.nanmax(evaluation.label_reprojection_px(world.rig, labels)) < 1e-3
    assert np.max(evaluation.epipolar_error_px(world.rig, labels)) < 1e-6


def test_wrong_cameras_show_in_the_labels(world, rng):
    labels, wrong = world.labelled(), disturb(rng, world.rig, 1.0)
    assert np.nanmean(evaluation.label_reprojection_px(wrong, labels)) > 5
    assert np.mean(evaluation.epipolar_error_px(wrong, labels)) > 0.5


def test_scores_of_a_perfect_detector_are_perfect(rng):
    perfect = make_world(rng, studio(3), 4, Detector(hidden=0.0, noise=0.0, clutter=0.0))
    frames, engine = perfect.labelled(), Engine.unfused(perfect.rig)
    found = evaluation.scores(engine, evaluation.run(engine, frames), frames, perfect.joints_world)
    assert found["jdr"] > 0.98
    assert found["reprojection_px"] < 2
    assert found["mpjpe_mm"] < 15
    assert [row["camera"] for row in found["per_camera"]] == ["cam0", "cam1", "cam2"]
    assert [row["joint"] for row in found["per_joint"]] == list(perfect.rig.skeleton.joints)


def test_hidden_joints_are_scored_by_themselves(world):
    frames, engine = world.labelled(), Engine.unfused(world.rig)
    poses = evaluation.run(engine, frames)
    found = evaluation.scores(engine, poses, frames, world.joints_world)
    threshold = evaluation.metrics.half_head_px(world.rig.skeleton, frames.joints_view)[..., None]
    hits = np.linalg.norm(poses.joints_view - frames.joints_view, axis=-1) < threshold
    assert found["jdr"] == pytest.approx(hits[frames.visibility > 0].mean(), abs=1e-4)
    assert found["jdr_hidden"] == pytest.approx(hits[frames.visibility == 1].mean(), abs=1e-4)
    assert found["jdr_hidden"] < found["jdr"] - 0.2


def test_running_in_chunks_is_running_at_once(world):
    engine, frames = Engine.epipolar(world.rig), world.labelled().subset(range(11))
    chunked, whole = evaluation.run(engine, frames), engine.poses(frames.heatmaps)
    np.testing.assert_allclose(chunked.pose3d, whole.pose3d, atol=1e-6)
    np.testing.assert_allclose(chunked.poses2d, whole.poses2d, atol=1e-3)


def test_scores_do_not_depend_on_where_the_world_is(world):
    turn, shift = np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]), np.array([3.0, -2, 0.5])
    frames = world.labelled().subset(range(4))
    told = []
    for rig, truth in (
        (world.rig, world.joints_world),
        (moved(world.rig, turn, shift), world.joints_world @ turn.T + shift),
    ):
        engine = Engine.unfused(rig)
        told.append(evaluation.scores(engine, evaluation.run(engine, frames), frames, truth[:4]))
    assert told[0]["jdr"] == told[1]["jdr"]
    assert told[0]["mpjpe_mm"] == pytest.approx(told[1]["mpjpe_mm"], abs=0.05)


def test_numbers_without_meaning_become_null():
    assert evaluation.rounded(float("nan")) is None
    assert evaluation.rounded(float("inf")) is None
    assert type(evaluation.rounded(np.float64(0.123456))) in (float, np.float64)
    assert evaluation.rounded(0.123456) == 0.1235

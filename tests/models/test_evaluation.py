import numpy as np
import pytest
from model_rigs import moved, studio

from models import evaluation
from models.evaluation import verdict
from models.runtime import Engine
from models.worlds import Detector, disturb, make_world

NEVER = {"jdr": None, "reprojection_px": None}


def report(
    fused, no_fusion=(0.8, 5.0), epipolar=(0.85, 4.0), *, agreement=1.0, error_px=0.3, turned=1.0, **calibration
):
    told = zip(("fused", "no_fusion", "epipolar"), (fused, no_fusion, epipolar), strict=True)
    cameras = [{"camera": "left", "turned_degrees": 0.1}, {"camera": "right", "turned_degrees": turned}]
    return {name: {"jdr": jdr, "reprojection_px": px} for name, (jdr, px) in told} | {
        "label_agreement": agreement,
        "calibration": {
            "repaired": True,
            "extrinsics": "sent",
            "label_reprojection_median_heatmap_px": error_px,
            "cameras": cameras,
        }
        | calibration,
    }


@pytest.mark.parametrize(
    ("fused", "promoted", "named"),
    [
        ((0.9, 9.0), True, "90.0%"),
        ((0.85, 3.9), True, "3.9 px"),
        ((0.85, 4.0), False, "epipolar fusion"),
        ((0.85, 4.1), False, "epipolar fusion"),
        ((0.85, None), False, "unknown"),
        ((0.82, 1.0), False, "epipolar fusion"),
        ((0.8, 5.0), False, "No-Fusion"),
        ((0.7, 1.0), False, "No-Fusion"),
        ((None, None), False, "unknown"),
    ],
)
def test_the_higher_jdr_wins_and_at_the_same_the_lower_reprojection(fused, promoted, named):
    decided, reason = verdict(report(fused))
    assert decided is promoted
    assert named in reason
    assert reason.startswith("Promoted" if promoted else "Not promoted")


def test_a_world_that_the_labels_define_is_told():
    assert "world" not in verdict(report((0.9, 1.0)))[1]
    assert verdict(report((0.9, 1.0), extrinsics="labels"))[1].endswith("not in that of the extrinsics sent.")


@pytest.mark.parametrize("repaired", [True, False])
def test_a_repair_is_told_of_only_where_there_was_one(repaired):
    assert ("not even repaired ones" in verdict(report((0.9, 1.0), error_px=9.0, repaired=repaired))[1]) is repaired


def test_a_full_tie_is_not_a_win():
    assert verdict(report((0.8, 5.0), (0.8, 5.0), (0.8, 5.0)))[0] is False
    assert verdict(report((None, None), (None, None), (None, None)))[0] is False


@pytest.mark.parametrize("agreement", [None, 0.0, 0.49])
def test_labels_that_do_not_meet_in_space_decide_nothing(agreement):
    decided, reason = verdict(report((0.99, 0.1), agreement=agreement))
    assert not decided
    assert "labels" in reason


@pytest.mark.parametrize(("doubt", "named"), [({"error_px": 2.0}, "2.0 heatmap pixels"), ({"turned": 34.0}, "right")])
def test_cameras_that_cannot_be_right_are_not_hidden_by_a_repair(doubt, named):
    decided, reason = verdict(report((0.99, 0.1), **doubt))
    assert not decided
    assert named in reason


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

import json
from dataclasses import replace

import numpy as np
import pytest
from model_rigs import QUICK, VOLUME, studio

from models import evaluation
from models.adaptation import adapt
from models.errors import Cancelled, InsufficientLabels, InvalidInput, InvalidOptions
from models.runtime import Engine
from models.worlds import Detector, disturb, make_world


def few(world, frames, noise=0.25):
    return world.labelled(np.random.default_rng(2), noise).subset(range(frames))


def plain(value):
    """Whether JSON takes it as it is: no NumPy scalars, no NaN."""
    if isinstance(value, dict):
        return all(type(k) is str and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, bool, int) or (type(value) is float and np.isfinite(value))


def test_a_good_world_is_promoted_and_beats_both_rivals(checkpoint):
    told = checkpoint.metrics
    assert told["promoted"] is True
    assert told["fused"]["jdr"] > max(told["no_fusion"]["jdr"] + 0.1, told["epipolar"]["jdr"])
    assert told["fused"]["jdr_hidden"] > told["no_fusion"]["jdr_hidden"] + 0.3
    assert told["label_agreement"] > 0.9


def test_metrics_hold_what_the_contract_says_and_are_plain_json(checkpoint, rig):
    told = checkpoint.metrics
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert plain(told)
    assert plain(checkpoint.manifest())
    assert told["jdr_threshold"]["median_heatmap_px"] > 0
    for name in ("no_fusion", "epipolar", "fused"):
        assert {"jdr", "jdr_hidden", "reprojection_px", "per_joint"} <= told[name].keys()
    ids = [camera.id for camera in rig.cameras]
    assert [(r["target"], r["source"]) for r in told["fused"]["per_pair"]] == [(ids[a], ids[b]) for a, b in rig.pairs]
    assert [r["gain"] for r in told["fused"]["per_pair"]] == pytest.approx(checkpoint.gains.tolist(), abs=1e-4)


def test_a_pair_tells_what_is_found_of_joints_that_its_source_alone_sees(checkpoint, rig, labelled):
    held = labelled.subset([labelled.frames.index(name) for name in checkpoint.metrics["held_out_frames"]])
    hidden, seen = held.visibility == 1, held.visibility == 2
    rows = checkpoint.metrics["fused"]["per_pair"]
    assert [r["hidden_seen_joints"] for r in rows] == [int((hidden[:, t] & seen[:, s]).sum()) for t, s in rig.pairs]
    told = [r for r in rows if r["hidden_seen_joints"]]
    assert told
    assert np.mean([r["hidden_seen_jdr"] - r["hidden_seen_jdr_before"] for r in told]) > 0.3


def test_what_is_told_is_what_the_checkpoint_does_on_the_frames_held_out(checkpoint, rig, labelled):
    held = labelled.subset([labelled.frames.index(name) for name in checkpoint.metrics["held_out_frames"]])
    engine = Engine.load(rig, checkpoint)
    truth = evaluation.labels_in_space(engine.cameras, held)
    again = evaluation.scores(engine, evaluation.run(engine, held), held, truth)
    assert {k: checkpoint.metrics["fused"][k] for k in again} == again


def test_held_out_frames_are_never_learned_from(rig, labelled, checkpoint):
    """Spoiling the frames held out changes how they are judged, and nothing of what was learned."""
    held = [labelled.frames.index(name) for name in checkpoint.metrics["held_out_frames"]]
    assert 0.15 < len(held) / len(labelled.frames) < 0.45
    maps = labelled.heatmaps.copy()
    maps[held] = 0
    spoiled = adapt(rig, replace(labelled, heatmaps=maps), options=QUICK, seed=3)
    np.testing.assert_array_equal(spoiled.gains, checkpoint.gains)
    np.testing.assert_array_equal(spoiled.theta, checkpoint.theta)
    np.testing.assert_array_equal(spoiled.R, checkpoint.R)
    assert spoiled.metrics["held_out_frames"] == checkpoint.metrics["held_out_frames"]
    assert spoiled.metrics["fused"]["jdr"] < 0.1


@pytest.fixture(scope="module")
def two():
    """Two cameras, eight frames: the least that can be adapted."""
    return make_world(np.random.default_rng(4), studio(2), 8, Detector(hidden=0.2))


def test_the_least_that_can_be_adapted_is_adapted_and_the_same_for_a_seed(two):
    runs = [adapt(two.rig, few(two, 8), options={"steps": 1}, seed=s) for s in (1, 1, 2)]
    assert runs[0].to_bytes() == runs[1].to_bytes()
    assert runs[0].metrics["held_out_frames"] != runs[2].metrics["held_out_frames"]
    assert runs[0].metrics["fused"]["jdr"] > 0.5
    assert plain(runs[0].metrics)


def test_progress_grows_from_zero_to_one(two):
    told = []
    adapt(two.rig, few(two, 8), options={"steps": 2}, progress=lambda *row: told.append(row))
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert 0.95 < fractions[-1] <= 1
    assert list(dict.fromkeys(stage for stage, _ in told)) == ["split", "repair cameras", "finetune", "evaluate"]


@pytest.mark.parametrize("when", ["split", "repair cameras", "finetune", "evaluate"])
def test_progress_can_stop_it_at_every_stage(when, two):
    told = []

    def stop(stage, fraction):
        told.append(stage)
        if stage == when:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        adapt(two.rig, few(two, 8), options={"steps": 1}, progress=stop)
    assert told[-1] == when
    assert told.count(when) == 1


@pytest.mark.parametrize("seed", range(3))
def test_random_labels_are_not_promoted(two, seed):
    labels, rng = few(two, 8), np.random.default_rng(seed)
    joints = np.where(np.isfinite(labels.joints_view), rng.uniform(0, 63, labels.joints_view.shape), np.nan)
    told = adapt(two.rig, replace(labels, joints_view=joints), options={"steps": 1}, seed=seed).metrics
    assert told["promoted"] is False
    assert told["fused"]["jdr"] < 0.2
    assert plain(told)


def test_cameras_turned_by_a_degree_are_repaired(world, labelled, checkpoint):
    wrong = disturb(np.random.default_rng(6), world.rig, 1.0)
    found = adapt(wrong, labelled, options=QUICK, seed=3)
    assert found.repaired
    told, exact = found.metrics, checkpoint.metrics
    assert told["held_out_frames"] == exact["held_out_frames"]
    assert told["fused"]["jdr"] > exact["fused"]["jdr"] - 0.02
    assert told["epipolar"]["jdr"] < exact["epipolar"]["jdr"] - 0.04
    assert told["promoted"] is True
    engine = Engine.load(wrong, found)
    sent, repaired = (evaluation.label_reprojection_px(rig, labelled) for rig in (wrong, engine.cameras))
    assert np.nanmean(repaired) < 0.5 * np.nanmean(sent)
    assert all(0.5 < camera["turned_degrees"] < 1.5 for camera in told["calibration"]["cameras"])
    rows = told["fused"]["per_pair"]
    assert np.mean([r["epipolar_error_px"] for r in rows]) < 0.5 * np.mean([r["epipolar_error_px_sent"] for r in rows])


def test_calibrations_exchanged_between_cameras_are_not_repaired_away(world, labelled):
    cameras = [world.rig.cameras[i] for i in (1, 0, 2, 3)]
    exchanged = world.rig.with_poses(np.stack([c.R for c in cameras]), np.stack([c.t for c in cameras]))
    found = adapt(exchanged, labelled.subset(range(12)), options={"steps": 0})
    assert not found.promoted
    assert "camera" in found.metrics["reason"]


def test_cameras_are_left_alone_when_asked_to(two):
    wrong = disturb(np.random.default_rng(6), two.rig, 1.0)
    found = adapt(wrong, few(two, 8), options={"steps": 0, "repair_cameras": False})
    assert not found.repaired
    np.testing.assert_array_equal(found.R, [c.R for c in wrong.cameras])


def test_a_camera_without_labels_is_kept_and_told_as_unknown():
    world = make_world(np.random.default_rng(8), studio(3), 10, Detector(hidden=0.2))
    labels = few(world, 10)
    joints, visibility = labels.joints_view.copy(), labels.visibility.copy()
    joints[:, 1], visibility[:, 1] = np.nan, 0
    found = adapt(world.rig, replace(labels, joints_view=joints, visibility=visibility), options=QUICK)
    assert [r["jdr"] is None for r in found.metrics["fused"]["per_camera"]] == [False, True, False]
    np.testing.assert_allclose(found.R[1], world.rig.cameras[1].R, atol=1e-6)
    assert plain(found.metrics)


def test_heatmaps_that_show_nothing_learn_nothing_and_promote_nothing(two):
    labels = few(two, 8)
    found = adapt(two.rig, replace(labels, heatmaps=np.zeros_like(labels.heatmaps)), options=QUICK)
    assert found.promoted is False
    assert plain(found.metrics)


def test_labels_outside_every_view_are_left_out(two):
    labels = few(two, 8)
    joints, visibility = labels.joints_view.copy(), labels.visibility.copy()
    joints[:, :, 3], visibility[:, :, 3] = [900.0, -700.0], 2
    found = adapt(two.rig, replace(labels, joints_view=joints, visibility=visibility), options=QUICK)
    assert found.metrics["fused"]["per_joint"][3]["jdr"] == 0
    assert found.metrics["fused"]["jdr"] > 0.4


def test_rolled_cameras_are_adapted_in_upright_views():
    rig = studio(3, rolls=(35, -80, 170))
    assert {round(np.degrees(view.roll)) for view in rig.views} == {-35, 80, -170}
    world = make_world(np.random.default_rng(9), rig, 10, Detector(hidden=0.2))
    told = adapt(rig, few(world, 10), options=QUICK).metrics
    assert told["fused"]["jdr"] > told["no_fusion"]["jdr"] + 0.05


@pytest.mark.parametrize("frames", [0, 1, 2, 7])
def test_too_few_frames_are_refused_before_any_work(frames, two):
    told = []
    with pytest.raises(InsufficientLabels) as caught:
        adapt(two.rig, few(two, frames), progress=lambda *row: told.append(row))
    assert caught.value.at == "labels.frames"
    assert not told


def test_a_pose_repeated_is_refused_before_any_work(two):
    told = []
    again = few(two, 8, noise=0).subset([0, 7] * 5)
    with pytest.raises(InsufficientLabels, match="2 distinct poses"):
        adapt(two.rig, again, progress=lambda *row: told.append(row))
    assert not told


def test_frames_that_show_one_pose_again_are_held_out_together(two):
    again = few(two, 8, noise=0).subset(np.repeat(np.arange(8), 3))
    again = replace(again, frames=tuple(f"{frame}-{index % 3}" for index, frame in enumerate(again.frames)))
    held = adapt(two.rig, again, options={"steps": 0}).metrics["held_out_frames"]
    poses = {name.partition("-")[0] for name in held}
    assert len(held) == 3 * len(poses)


def test_labels_that_no_two_views_share_inside_are_refused(two):
    labels = few(two, 8)
    joints = labels.joints_view.copy()
    joints[:, 1] = 500.0
    with pytest.raises(InvalidInput) as caught:
        adapt(
            two.rig, replace(labels, joints_view=joints, visibility=np.full_like(labels.visibility, 2)), options=QUICK
        )
    assert caught.value.at == "labels"


@pytest.mark.parametrize("holdout", [0.1, 0.6])
def test_the_share_held_out_is_the_share_asked_for(holdout, two):
    found = adapt(two.rig, few(two, 8), options={"steps": 0, "holdout": holdout})
    assert len(found.metrics["held_out_frames"]) == max(1, round(8 * holdout))


def test_options_at_fault_are_refused(two):
    with pytest.raises(InvalidOptions):
        adapt(two.rig, few(two, 8), options={"step": 3})


def test_a_joint_set_with_a_head_is_judged_by_it():
    rig = studio(2, joints="h36m17", volume=VOLUME)
    world = make_world(np.random.default_rng(4), rig, 8, Detector(hidden=0.1))
    told = adapt(rig, few(world, 8), options={"steps": 0}).metrics
    assert told["jdr_threshold"]["rule"] == "half the labelled head"
    assert told["fused"]["jdr"] > 0.4

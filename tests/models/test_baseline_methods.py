"""``affinefuse`` and ``naivefuse`` through the door that ``metafuse`` goes through."""

import json
from dataclasses import replace

import numpy as np
import pytest
from model_rigs import studio
from safetensors.numpy import load, save

from models.adaptation import _LEARN, adapt
from models.checkpoint import Checkpoint, _digest
from models.errors import Cancelled, CheckpointMismatch, CorruptArtifact, InvalidOptions
from models.methods import METHODS, validate_options
from models.runtime import Engine
from models.worlds import Detector, disturb, make_world

BASELINES = {"affinefuse": {"steps": 2}, "naivefuse": {}}


@pytest.fixture(scope="module")
def two():
    return make_world(np.random.default_rng(1), studio(2), 8, Detector(hidden=0.3), clips=2)


@pytest.fixture(scope="module", params=BASELINES)
def adapted(request, two):
    return adapt(
        two.rig, two.labelled(), method=request.param, options=BASELINES[request.param], seed=3, capture_digest="c"
    )


def test_the_same_seed_gives_the_same_bytes(adapted, two):
    again = adapt(
        two.rig, two.labelled(), method=adapted.method, options=BASELINES[adapted.method], seed=3, capture_digest="c"
    )
    assert again.to_bytes() == adapted.to_bytes()


def test_bytes_come_back_as_they_went(adapted, two):
    read = Checkpoint.from_bytes(adapted.to_bytes())
    for name in ("theta", "left", "right"):
        np.testing.assert_array_equal(getattr(read, name), getattr(adapted, name))
    assert read.manifest() == adapted.manifest() == json.loads(json.dumps(read.manifest(), allow_nan=False))
    loud = [replace(c, gains=np.ones_like(c.gains)) for c in (read, adapted)]  # the frames may have chosen silence
    engines = [Engine.load(two.rig, checkpoint) for checkpoint in loud]
    fused = [engine.poses(two.heatmaps[:2]).heatmaps for engine in engines]
    np.testing.assert_array_equal(*fused)
    assert np.abs(fused[0] - two.heatmaps[:2]).max() > 1e-3


def test_what_is_stored_follows_the_method(adapted):
    factored = adapted.method == "naivefuse"
    assert (adapted.theta is None, adapted.left is not None, adapted.right is not None) == (factored,) * 3


def test_held_out_metrics_and_the_verdict_are_those_of_every_method(adapted, two):
    metrics = adapted.metrics
    assert {
        "jdr_threshold",
        "held_out_frames",
        "no_fusion",
        "epipolar",
        "fused",
        "promoted",
        "reason",
    } <= metrics.keys()
    assert set(metrics["held_out_frames"]) < set(two.labelled().frames)
    assert len(metrics["fused"]["per_pair"]) == 2
    assert adapted.promoted == metrics["reason"].startswith("Promoted")
    assert 0 <= metrics["fused"]["jdr"] <= 1


def test_cameras_stay_as_sent_and_joints_in_2d_are_the_fused_peaks(adapted, two):
    assert not adapted.repaired
    assert not adapted.project
    np.testing.assert_array_equal(adapted.R, np.stack([c.R for c in two.rig.cameras]))
    with pytest.raises(CheckpointMismatch):
        Engine.load(disturb(np.random.default_rng(0), two.rig, 1.0), adapted)


def test_no_camera_takes_part_in_what_naivefuse_learns(two):
    turned = disturb(np.random.default_rng(0), two.rig, 3.0)
    one, other = (adapt(rig, two.labelled(), method="naivefuse") for rig in (two.rig, turned))
    np.testing.assert_array_equal(one.left, other.left)
    np.testing.assert_array_equal(one.right, other.right)


@pytest.mark.parametrize("method", BASELINES)
def test_progress_rises_and_may_stop_it(two, method):
    heard = []

    def stop(stage, fraction):
        heard.append(fraction)
        if stage == "evaluate":
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        adapt(two.rig, two.labelled(), method=method, options=BASELINES[method], progress=stop)
    assert heard == sorted(heard)
    assert heard[-1] == 0.7


def rewritten(checkpoint, change):
    """The checkpoint's bytes, well formed and well signed, with other tensors."""
    data = checkpoint.to_bytes()
    tensors = load(data)
    change(tensors)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return save(tensors, {"manifest": header["manifest"], "sha256": _digest(header["manifest"], tensors)})


def cut(name, part):
    def change(tensors):
        if name in tensors:
            tensors[name] = np.ascontiguousarray(tensors[name][part])
        else:
            tensors["more"] = np.zeros(3)

    return change


CHANGES = {
    "one pair less": lambda t: [cut(name, np.s_[1:])(t) for name in ("theta", "left", "right") if name in t],
    "gains of other pairs": cut("gains", np.s_[:1]),
    "another rank": cut("left", np.s_[..., :-1]),
    "a smaller view": cut("right", np.s_[..., :-1]),
    "a smaller field": cut("theta", np.s_[:, :63]),
    "a row of R less": cut("R", np.s_[:, :2]),
    "a camera less": cut("t", np.s_[:1]),
    "half of ω_base": cut("omega_base", np.s_[:32]),
    "no weights": lambda t: [t.pop(name, None) for name in ("theta", "left", "right")],
    "one factor": lambda t: t.pop("left", None) is None and t.pop("theta"),
    "both kinds of weights": lambda t: t.update(
        {"theta": np.zeros((2, 64, 64, 2, 3), np.float32), "left": np.zeros((2, 4096, 1), np.float16)}
    ),
}


@pytest.mark.parametrize("fault", CHANGES)
def test_tensors_that_do_not_fit_each_other_are_corrupt(adapted, fault):
    with pytest.raises(CorruptArtifact):
        Checkpoint.from_bytes(rewritten(adapted, CHANGES[fault]))


def test_a_checkpoint_without_weights_is_no_engine(adapted, two):
    with pytest.raises(ValueError, match="factors"):
        Engine.load(two.rig, replace(adapted, theta=None, right=None))


@pytest.mark.parametrize(
    ("method", "option"),
    [("naivefuse", "steps"), ("naivefuse", "repair_cameras"), ("affinefuse", "repair_cameras")],
)
def test_options_of_other_methods_are_refused_in_a_sentence(method, option):
    with pytest.raises(InvalidOptions, match=f"'{option}' does not apply to {method}, which takes .*holdout") as caught:
        validate_options(method, {option: 1})
    assert caught.value.at == f"options.{option}"


def test_every_method_takes_a_holdout_and_has_its_own_defaults():
    assert {"metafuse", "affinefuse", "naivefuse"} <= METHODS.keys()
    assert {validate_options(method, {"holdout": 0.5}).holdout for method in METHODS} == {0.5}
    assert not any(validate_options(method, {}).repair_cameras for method in ("affinefuse", "naivefuse"))
    assert validate_options("affinefuse", {"steps": 7}).steps == 7


def test_every_method_that_may_be_asked_for_can_learn():
    assert _LEARN.keys() == METHODS.keys()


def test_affinefuse_is_refused_where_its_dense_weights_would_fill_the_memory():
    rig = studio(9)
    world = make_world(np.random.default_rng(1), rig, 8, Detector())
    with pytest.raises(InvalidOptions) as caught:
        adapt(rig, world.labelled(), method="affinefuse", options={"steps": 0})
    assert "9" in caught.value.message

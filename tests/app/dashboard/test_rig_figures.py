"""Reading a checkpoint's figures: all of them where they are there, and none of them may stop a page."""

import json

import payloads
import pytest
from documents import anything
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import checkpoint_of

from app.dashboard.rig.figures import Change, read
from models.checkpoint import Checkpoint
from models.judgement import Serving, judge

_NAMES = [
    "metrics", "fused", "no_fusion", "per_pair", "per_joint", "per_camera", "evidence", "fallback", "calibration",
    "pairs", "cameras", "jdr", "jdr_interval", "interval", "held_out_frames", "lineage", "target", "source", "joint",
    "camera", "gain", "reason", "rival", "turned_degrees",
]  # fmt: skip
_ANYTHING = anything(_NAMES)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    world = payloads.world(cameras=3, frames=6)
    return judge(world.rig, checkpoint_of(world.rig), world.labelled(), Serving())


def test_what_was_measured_is_read(checkpoint: Checkpoint) -> None:
    told, metrics = read(checkpoint.manifest()), checkpoint.metrics
    quality = told.quality
    assert quality.jdr == Change(100 * metrics["no_fusion"]["jdr"], 100 * metrics["fused"]["jdr"])
    assert quality.jdr.delta == pytest.approx(100 * (metrics["fused"]["jdr"] - metrics["no_fusion"]["jdr"]))
    assert quality.held_out_frames == len(metrics["held_out_frames"])
    assert [row.joint for row in told.joints] == [row["joint"] for row in metrics["fused"]["per_joint"]]
    assert {name: row.jdr.after for name, row in told.cameras.items()} == {
        row["camera"]: 100 * row["jdr"] for row in metrics["fused"]["per_camera"]
    }
    for row in metrics["fused"]["per_pair"]:
        pair = told.pairs[row["target"], row["source"]]
        assert (pair.gain, pair.epipolar_px.after) == (row["gain"], row["epipolar_error_px"])
        assert pair.found.after == (None if row["hidden_seen_jdr"] is None else 100 * row["hidden_seen_jdr"])
    assert [rival.name for rival in told.rivals] == ["no fusion", "epipolar", "robust triangulation"]


def test_cameras_and_pairs_that_fall_back_say_why(checkpoint: Checkpoint) -> None:
    manifest = json.loads(json.dumps(checkpoint.manifest()))
    names = sorted(read(manifest).cameras)
    manifest["metrics"]["fallback"] = {
        "cameras": [{"camera": names[0], "reason": "It is out of step."}],
        "pairs": [{"target": names[1], "source": names[2], "reason": "No longer listened to."}],
    }
    told = read(manifest)
    assert {name: row.fallback for name, row in told.cameras.items()} == {
        names[0]: "It is out of step.", names[1]: "", names[2]: "",
    }  # fmt: skip
    assert told.pairs[names[1], names[2]].dropped == "No longer listened to."
    assert told.pairs[names[2], names[1]].dropped == ""


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(_NAMES), _ANYTHING, max_size=4))
def test_whatever_stands_in_a_manifest_is_read_without_an_error(manifest: dict[str, object]) -> None:
    told = read({"metrics": manifest, **manifest})
    numbers = [told.quality.jdr.before, told.quality.jdr.after, *(row.jdr.after for row in told.joints)]
    assert all(value is None or isinstance(value, float) for value in numbers)


def test_what_no_number_and_no_name_can_be_is_none() -> None:
    odd = {
        "fused": {"jdr": 10**400, "per_pair": [{"target": [], "gain": True}]},
        "fallback": {"pairs": [{"target": []}]},
    }
    told = read({"metrics": odd})
    assert (told.quality.jdr, [pair.gain for pair in told.pairs.values()]) == (Change(None, None), [None])


def test_an_old_manifest_without_figures_has_none() -> None:
    told = read({"format": 1})
    assert (told.quality.jdr, told.joints, told.pairs) == (Change(None, None), (), {})
    assert told.quality.jdr.delta is None

import json
from dataclasses import replace

import numpy as np
import pytest

from models.judgement import Serving, judge

FRAMES = range(0, 24, 4)


@pytest.fixture(scope="module")
def held_out(labelled):
    return labelled.subset(FRAMES)


@pytest.fixture(scope="module")
def draft(checkpoint):
    return replace(checkpoint, metrics={})


@pytest.fixture(scope="module")
def weaker(checkpoint):
    """It does not fuse, and was held to these very frames and two others."""
    named = [f"{frame:06d}" for frame in (0, 4, 5, 6)]
    return replace(
        checkpoint, gains=0 * checkpoint.gains, project=False, limbs=None, method="epipolar",
        metrics={"held_out_frames": named},
    )  # fmt: skip


@pytest.fixture(scope="module")
def judged(rig, draft, weaker, held_out):
    return judge(rig, draft, held_out, Serving(weaker)).metrics


def test_evidence_tells_every_rival_with_its_intervals(judged):
    rows = {row["rival"]: row for row in judged["evidence"]}
    assert list(rows) == ["no_fusion", "epipolar", "robust_triangulation", "incumbent"]
    for name, row in rows.items():
        assert row["jdr_gain"] == pytest.approx(judged["fused"]["jdr"] - judged[name]["jdr"], abs=2e-4)
        assert row["interval"][0] <= row["jdr_gain"] <= row["interval"][1]
        assert {"jdr_hidden_gain", "reprojection_px_gain", "mpjpe_mm_gain", "verdict", "chance_ahead"} <= row.keys()
    assert rows["no_fusion"]["verdict"] == "better"
    assert judged["promoted"], judged["reason"]


def test_every_system_has_its_intervals_and_all_is_json_of_a_modest_size(judged):
    for name in ("no_fusion", "epipolar", "robust_triangulation", "incumbent", "fused"):
        low, high = judged[name]["jdr_interval"]
        assert low <= judged[name]["jdr"] <= high
    assert len(json.dumps(judged, allow_nan=False)) < 32_000


def test_what_knows_most_of_these_frames_is_told_to_be_favoured(judged):
    told = judged["incumbent"]
    assert (told["same_capture"], told["favoured"], told["frames_compared"]) == (True, True, 6)
    assert (told["method"], told["identical"]) == ("epipolar", False)


@pytest.mark.parametrize(
    ("capture", "named", "compared"),
    [("capture", [0, 4, 8, 12, 16], 5), ("capture", range(24), 6), ("another", [0], 6)],
)
def test_what_both_held_out_is_compared_on(rig, draft, weaker, held_out, capture, named, compared):
    names = {"held_out_frames": [f"{frame:06d}" for frame in named]}
    plain = replace(draft, project=False, limbs=None)
    told = judge(rig, plain, held_out, Serving(replace(weaker, capture_digest=capture, metrics=names))).metrics
    assert (told["incumbent"]["favoured"], told["incumbent"]["frames_compared"]) == (False, compared)
    assert told["evidence"][-1]["frames"] == compared


def test_the_same_fusion_is_known_whatever_was_measured(rig, draft, checkpoint, held_out):
    told = judge(rig, draft, held_out.subset([0]), Serving(replace(checkpoint, seed=99, lineage={}))).metrics
    assert told["incumbent"]["identical"]
    assert not told["promoted"]
    assert not draft.same_fusion(replace(checkpoint, gains=1.01 * checkpoint.gains))
    assert not draft.same_fusion(replace(checkpoint, limbs=np.zeros(len(rig.skeleton.limbs))))


@pytest.mark.parametrize(
    ("ours", "theirs", "used", "new"),
    [
        ("sent", None, True, False), ("labels", None, False, False), ("labels", None, True, True),
        ("sent", "sent", True, False), ("labels", "sent", True, True), ("sent", "labels", True, True),
        ("labels", "labels", True, True),
    ],
)  # fmt: skip
def test_another_world_is_noticed(rig, draft, weaker, held_out, ours, theirs, used, new):
    incumbent = None if theirs is None else replace(weaker, lineage={"extrinsics": theirs})
    serving = Serving(incumbent, used)
    plain = replace(draft, lineage={"extrinsics": ours}, project=False, limbs=None)
    told = judge(rig, plain, held_out.subset([0]), serving).metrics
    assert told["new_world"] is new
    assert (told["no_fusion"]["mpjpe_mm"] is None) is (ours == "labels")

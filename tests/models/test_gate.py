import numpy as np
import pytest
from scipy.stats import norm

from models.evaluation import Measures
from models.gate import Evidence, bounds, verdict
from models.intervals import Interval

UNKNOWN = Interval(float("nan"), -np.inf, np.inf)
SURE, CHANCE = 0.01, 0.2  # half widths of intervals


def evidence(rival, gain, reach=SURE, px=(0.0, 1.0), mm=(0.0, np.inf), frames=12):
    """A lead in JDR, in reprojection error and in MPJPE, each with half its interval's width."""
    jdr, error, space = (
        Interval(value, value - half, value + half, float(norm.cdf(2 * value / half)) if half else 0.5)
        for value, half in ((gain, reach), px, mm)
    )
    return Evidence(rival, frames, jdr, UNKNOWN, error, space)


def report(*rows, jdr=0.9, agreement=1.0, error_px=0.3, turned=1.0, more=None, **calibration):
    fused = {"jdr": jdr, "reprojection_px": 4.0}
    cameras = [{"camera": "left", "turned_degrees": 0.1}, {"camera": "right", "turned_degrees": turned}]
    rivals = {row.rival: {"jdr": jdr - row.jdr.value, "reprojection_px": 4.0} for row in rows}
    told = {"repaired": True, "extrinsics": "sent", "label_reprojection_median_heatmap_px": error_px}
    calibration = told | {"cameras": cameras} | calibration
    return {"fused": fused, **rivals, "label_agreement": agreement, "calibration": calibration, **(more or {})}


def decided(*rows, allow_new_world=False, **told):
    return verdict(report(*rows, **told), rows, allow_new_world=allow_new_world)


GOOD = (evidence("no_fusion", 0.1), evidence("epipolar", 0.05), evidence("robust_triangulation", 0.02))


def test_what_is_shown_to_be_better_is_promoted_and_all_rivals_are_named():
    promoted, reason = decided(*GOOD)
    assert promoted
    for name in ("No-Fusion with JDR of 80.0%", "epipolar fusion with", "robust triangulation with"):
        assert name in reason


@pytest.mark.parametrize("rival", ["no_fusion", "epipolar", "robust_triangulation", "incumbent"])
def test_no_rival_may_rank_above(rival):
    rows = [row for row in GOOD if row.rival != rival] + [evidence(rival, -0.02)]
    promoted, reason = decided(*rows, more={"incumbent": {"jdr": 0.92, "reprojection_px": 4.0}})
    assert not promoted
    assert reason.startswith("Not promoted")
    assert "does not beat" in reason


@pytest.mark.parametrize("rival", ["no_fusion", "incumbent"])
def test_what_serves_is_replaced_only_by_what_is_shown_to_be_better(rival):
    others = [row for row in GOOD if row.rival != rival]
    incumbent = {"incumbent": {"jdr": 0.9, "reprojection_px": 4.0}}
    promoted, reason = decided(*others, evidence(rival, 0.05, CHANCE), more=incumbent)
    assert not promoted
    assert "12 held-out frames cannot tell" in reason
    assert "about 192 would" in reason
    assert decided(*others, evidence(rival, 0.05), more=incumbent)[0]


def test_a_lead_over_what_does_not_serve_need_only_be_likely():
    promoted, reason = decided(*GOOD[:2], evidence("robust_triangulation", 0.1, CHANCE))
    assert promoted
    assert "Its lead over robust triangulation may be chance." in reason
    promoted, reason = decided(*GOOD[:2], evidence("robust_triangulation", 0.01, CHANCE))
    assert not promoted
    assert "is ahead of robust triangulation" in reason


def test_at_the_same_jdr_the_reprojection_error_decides():
    same = [evidence(row.rival, 0.0, px=(2.0, 0.5)) for row in GOOD]
    assert decided(*same)[0]
    worse = [evidence(row.rival, 0.0, px=(-2.0, 0.5)) for row in GOOD]
    assert not decided(*worse)[0]
    nothing = [evidence(row.rival, 0.0, 0.0, px=(0.0, 0.0)) for row in GOOD]
    assert not decided(*nothing)[0]


def test_a_higher_reprojection_error_does_not_outweigh_more_joints():
    assert decided(*[evidence(row.rival, row.jdr.value, px=(-2.0, 0.5)) for row in GOOD])[0]


def test_what_decided_is_what_is_told():
    assert "No-Fusion with JDR of 80.0% (+10.0 points)," in decided(*GOOD)[1]
    tie = [evidence(row.rival, 0.0, px=(2.0, 0.5)) for row in GOOD]
    assert "No-Fusion with JDR of 90.0% (+0.0 points, reprojection 2.0 px lower)," in decided(*tie)[1]


def test_a_tie_is_not_broken_where_joints_in_space_are_shown_to_be_further_off():
    tie = [evidence(row.rival, 0.0, px=(2.0, 0.5), mm=(-105.0, 90.0)) for row in GOOD]
    promoted, reason = decided(*tie)
    assert not promoted
    assert "reprojection 2.0 px lower, but 105 mm further off in space" in reason
    assert tie[0].verdict != "better"
    assert decided(*[evidence(row.rival, 0.0, px=(2.0, 0.5), mm=(-105.0, 110.0)) for row in GOOD])[0]
    assert decided(*[evidence(row.rival, row.jdr.value, mm=(-105.0, 90.0)) for row in GOOD])[0]


@pytest.mark.parametrize("jdr", [0.0, 0.03, 0.49])
def test_what_finds_hardly_any_joint_is_not_promoted_whatever_it_beats(jdr):
    promoted, reason = decided(*(evidence(row.rival, 0.0, 0.0, px=(2.0, 0.5)) for row in GOOD), jdr=jdr)
    assert not promoted
    assert "exchanged between cameras" in reason
    assert f"finds only {jdr:.1%}" in reason


def test_where_a_rival_finds_most_joints_the_labels_are_not_suspected():
    promoted, reason = decided(*GOOD[:2], evidence("robust_triangulation", -0.4), jdr=0.4)
    assert not promoted
    assert reason.endswith("only 40.0% of the labelled joints, robust triangulation 80.0%.")


@pytest.mark.parametrize(
    ("gain", "reach", "px", "word"),
    [
        (0.1, SURE, (0, 1), "better"), (-0.1, SURE, (0, 1), "worse"), (0.001, 0.005, (0, 1), "alike"),
        (0.02, CHANCE, (0, 1), "unclear"), (0.02, CHANCE, (3, 1), "better"), (-0.02, CHANCE, (-3, 1), "worse"),
        (-0.02, CHANCE, (3, 1), "unclear"),
    ],
)  # fmt: skip
def test_each_rival_has_a_word(gain, reach, px, word):
    assert evidence("epipolar", gain, reach, px).verdict == word


def test_more_labels_are_asked_for_where_nothing_is_known():
    rows = [Evidence(row.rival, 2, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN) for row in GOOD]
    promoted, reason = decided(*rows)
    assert not promoted
    assert "2 held-out frames cannot tell: label more frames" in reason


@pytest.mark.parametrize("agreement", [None, 0.0, 0.49])
def test_labels_that_do_not_meet_in_space_decide_nothing(agreement):
    promoted, reason = decided(*GOOD, agreement=agreement)
    assert not promoted
    assert "labels" in reason


@pytest.mark.parametrize(("doubt", "named"), [({"error_px": 2.0}, "2.0 heatmap pixels"), ({"turned": 34.0}, "right")])
def test_cameras_that_cannot_be_right_are_not_hidden_by_a_repair(doubt, named):
    promoted, reason = decided(*GOOD, **doubt)
    assert not promoted
    assert named in reason


@pytest.mark.parametrize("repaired", [True, False])
def test_a_repair_is_told_of_only_where_there_was_one(repaired):
    assert ("not even repaired ones" in decided(*GOOD, error_px=9.0, repaired=repaired)[1]) is repaired


def test_a_world_that_the_labels_define_is_told():
    assert "world" not in decided(*GOOD)[1]
    assert decided(*GOOD, extrinsics="labels")[1].endswith("not in that of the extrinsics sent.")


def test_nobody_is_moved_to_another_world_unasked():
    told = {"extrinsics": "labels", "more": {"new_world": True}}
    promoted, reason = decided(*GOOD, **told)
    assert not promoted
    assert "activate it by hand" in reason
    assert decided(*GOOD, **told, allow_new_world=True)[0]


def test_the_same_again_is_not_promoted():
    rows = (*GOOD, evidence("incumbent", 0.0, 0.0))
    incumbent = {"jdr": 0.9, "reprojection_px": 4.0, "identical": True}
    promoted, reason = decided(*rows, more={"incumbent": incumbent})
    assert not promoted
    assert "exactly as" in reason


def test_an_incumbent_that_knows_these_frames_is_told():
    rows = (*GOOD, evidence("incumbent", -0.01))
    _, reason = decided(*rows, more={"incumbent": {"jdr": 0.91, "reprojection_px": 4.0, "favoured": True}})
    assert "favours it" in reason


def test_evidence_is_the_paired_difference():
    rng = np.random.default_rng(0)
    found = (rng.random((12, 3, 5)) < 0.5).astype(float)
    pixels = rng.uniform(2, 4, (12, 3, 5))
    theirs = Measures(found, np.where(rng.random(found.shape) < 0.2, found, np.nan), pixels, pixels[:, 0])
    ours = Measures(np.ones_like(found), np.ones_like(found), pixels - 1, pixels[:, 0] - 2)
    row = Evidence.of("epipolar", ours, theirs)
    assert row.jdr.value == pytest.approx(1 - found.mean())
    assert (row.reprojection_px.value, row.mpjpe_mm.value) == (pytest.approx(1), pytest.approx(2))
    told = row.row()
    assert told["interval"][0] < told["jdr_gain"] < told["interval"][1]
    assert told["verdict"] == "better"
    assert told["frames"] == 12


def test_no_interval_is_told_beyond_what_can_be():
    wide = Interval(0.97, 0.9, 1.034)
    assert bounds(wide, 4, (-1.0, 1.0)) == [0.9, 1.0]
    assert bounds(wide, 4) == [0.9, 1.034]
    assert bounds(Interval(0.97, -np.inf, np.inf), 4, (-1.0, 1.0)) is None

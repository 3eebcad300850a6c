"""What the page of an adaptation says of its result: the evidence, the curves, and what to do next."""

import numpy as np
import payloads
import pytest
from documents import anything
from hypothesis import given, settings
from stored import checkpoint_of

from app.adaptations.curves import Curve
from app.dashboard.adaptation import evidence
from app.dashboard.adaptation.advice import answer
from app.dashboard.adaptation.charts import HEIGHT, WIDTH, charts
from app.tables import AdaptationRow, RigRow
from models.checkpoint import Checkpoint
from models.evaluation import Measures
from models.gate import Evidence, verdict
from models.judgement import Serving, judge

_NAMES = [
    "promoted", "reason", "evidence", "rival", "frames", "jdr_gain", "interval", "chance_ahead", "fused", "no_fusion",
    "jdr", "jdr_interval", "fallback", "cameras", "pairs", "calibration", "repaired", "camera", "turned_degrees",
    "held_out_frames", "jdr_threshold", "rule", "label_agreement", "verdict",
]  # fmt: skip
_ANYTHING = anything(_NAMES)


@pytest.fixture(scope="module")
def judged() -> Checkpoint:
    world = payloads.world(cameras=3, frames=6)
    return judge(world.rig, checkpoint_of(world.rig), world.labelled(), Serving(incumbent=checkpoint_of(world.rig)))


def test_the_evidence_is_read_as_it_was_judged(judged: Checkpoint) -> None:
    told = evidence.read(judged.metrics)
    assert told is not None
    rows = judged.metrics["evidence"]
    assert [rival.name for rival in told.rivals][-1] == "the checkpoint that serves now"
    assert [rival.verdict for rival in told.rivals] == [row["verdict"] for row in rows]
    assert [rival.gains[0].figure.value for rival in told.rivals] == [100 * row["jdr_gain"] for row in rows]
    assert [system.name for system in told.systems if system.is_ours] == ["This checkpoint"]
    assert told.systems[0].scores[0].value == 100 * judged.metrics["no_fusion"]["jdr"]
    assert told.held_out_frames == 6


def test_a_bar_to_the_right_is_better_and_zero_is_in_the_middle() -> None:
    row = {"rival": "no_fusion", "jdr_gain": 0.1, "interval": [-0.05, 0.25], "reprojection_px_gain": -2.0,
           "reprojection_px_interval": [-3.0, -1.0]}  # fmt: skip
    told = evidence.read({"evidence": [row]})
    assert told is not None
    jdr, hidden, reprojection, _ = told.rivals[0].gains
    assert jdr.bar == (48.6, 117.0)  # of 120, zero at 60
    assert (jdr.dot, jdr.tone) == (82.8, "")
    assert (hidden.bar, hidden.dot) == (None, None)
    assert (reprojection.bar, reprojection.tone) == ((3.0, 41.0), "bad")


def test_scores_end_where_scores_do_and_cameras_are_repaired_only_where_one_moved() -> None:
    fused = {"jdr": 0.97, "jdr_interval": [0.9, 1.04], "mpjpe_mm": 9.0, "mpjpe_mm_interval": [-2.0, 20.0]}
    still = {"repaired": True, "cameras": [{"camera": "a", "turned_degrees": 0.0, "moved_mm": 0.0}]}
    told = evidence.read({"fused": fused, "calibration": still})
    assert told is not None
    assert (told.systems[0].scores[0].low, told.systems[0].scores[0].high) == (90.0, 100.0)
    assert (told.systems[0].scores[3].low, told.systems[0].scores[3].high) == (0.0, 20.0)
    assert told.calibration is not None
    assert "used as sent" in told.calibration.told
    still["cameras"] = [{"camera": "a", "turned_degrees": 0.4, "moved_mm": 7.0}]
    told = evidence.read({"calibration": still})
    assert told is not None
    assert told.calibration is not None
    assert [repair.moved_mm for repair in told.calibration.cameras] == [7.0]


@given(_ANYTHING)
@settings(max_examples=60, deadline=None)
def test_whatever_an_older_version_wrote_is_read(metrics: object) -> None:
    told = evidence.read(metrics) if isinstance(metrics, dict) else None
    assert told is None or all(len(rival.gains) == 4 for rival in told.rivals)


def test_a_curve_is_drawn_within_its_picture_and_told_in_words() -> None:
    curve = Curve("finetune", {"loss": [(2, 0.5), (4, 0.25)], "held_back": [(0, 0.75), (4, 0.3)]})
    chart = charts([curve], steps=8, kept_step=4)[0]
    assert [line.name for line in chart.lines] == ["loss", "held_back"]
    places = [tuple(map(float, point.split(","))) for line in chart.lines for point in line.points.split()]
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in places)
    assert places[0][1] > places[2][1]  # 0.5 is drawn below 0.75
    assert places[1][0] == places[3][0] == round(chart.kept or 0, 1) < WIDTH - 100  # 8 steps were asked for
    assert chart.table == [(0, [None, 0.75]), (2, [0.5, None]), (4, [0.25, 0.3])]
    assert "frames held back from learning: from 0.75 to 0.3, lowest 0.3." in chart.told
    assert [tick.told for tick in chart.steps] == ["0", "2", "4", "6", "8"]


@pytest.mark.parametrize("points", [[(1, 0.0)], [(1, 0.5), (2, 0.5)], [(3, 1e-9), (4, 1e6)], [(0, -1.0), (900, 2.0)]])
def test_any_curve_has_ticks(points: list[tuple[int, float]]) -> None:
    chart = charts([Curve("other", {"loss": points})])[0]
    assert 2 <= len(chart.values) <= 8
    assert len(chart.steps) >= 2


def test_a_phase_without_points_has_no_chart() -> None:
    assert charts([Curve("lines", {"loss": []})]) == []


def refused(gain: float, spread: float, **calibration: object) -> AdaptationRow:
    """An adaptation with the gate's own verdict on such a lead over No-Fusion."""
    rng = np.random.default_rng(0)
    theirs, ours = (np.clip(0.7 + lead + spread * rng.standard_normal((24, 2, 3)), 0, 1) for lead in (0, gain))
    unknown = np.full((24, 3), np.nan)
    row = Evidence.of(
        "no_fusion", Measures(ours, ours, ours * 0, unknown), Measures(theirs, theirs, theirs * 0, unknown)
    )
    fits = {"label_reprojection_median_heatmap_px": 0.2, "repaired": False, "extrinsics": "sent", "cameras": []}
    report = {"fused": {"jdr": 0.7 + gain}, "no_fusion": {"jdr": 0.7}, "label_agreement": 1.0}
    promoted, reason = verdict({**report, "calibration": {**fits, **calibration}}, [row])
    metrics = {"promoted": promoted, "reason": reason}
    return AdaptationRow(id="ada_1", state="succeeded", metrics=metrics, checkpoint_id="ckp_1", capture_id="cap_1")


@pytest.mark.parametrize(
    ("job", "link"),
    [
        (refused(0.02, 0.3), "/rigs/rig_1#advice"),
        (refused(-0.2, 0.01), "/rigs/rig_1#advice"),
        (refused(0.2, 0.01, label_reprojection_median_heatmap_px=9.0), "/captures/cap_1/frames"),
        (refused(0.2, 0.01, cameras=[{"camera": "a", "turned_degrees": 40.0}]), "/rigs/rig_1"),
    ],
)
def test_a_refusal_says_what_to_do_next(job: AdaptationRow, link: str) -> None:
    told = answer(job, RigRow(id="rig_1", active_checkpoint_id="ckp_0"))
    assert told is not None
    assert told.title == "Not promoted: the rig is served as before"
    assert told.told[0].isupper()
    assert told.link == link


def test_what_was_promoted_says_whether_it_still_serves() -> None:
    job = refused(0.2, 0.01)
    titles = []
    for active in ("ckp_1", "ckp_2", None):
        told = answer(job, RigRow(id="rig_1", active_checkpoint_id=active))
        assert told is not None
        titles.append((told.tone, told.title, told.next))
    assert titles == [
        ("good", "Promoted: it serves now", "Nothing has to be done."),
        ("quiet", "It was promoted, and serves no more", "The rig is served with another checkpoint by now."),
        ("quiet", "It was promoted, and serves no more", "The rig is served without fusion by now."),
    ]


def test_a_failure_hints_by_its_cause() -> None:
    error = {"code": "attempts_exhausted", "detail": "It failed 3 times.", "cause": "storage_full"}
    told = answer(AdaptationRow(id="a", state="failed", error=error), RigRow(id="r"))
    assert told is not None
    assert (told.tone, told.told) == ("bad", "It failed 3 times.")
    assert "make room" in told.next
    unknown = answer(AdaptationRow(id="a", state="failed", error=None), RigRow(id="r"))
    assert unknown is not None
    assert "request id" in unknown.next

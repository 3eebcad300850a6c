"""What to label next, and what to do next: the sentences, and which comes first."""

from dataclasses import replace

import numpy as np
import pytest

from app.dashboard.rig import figures
from app.dashboard.rig.advice import Covered, advise
from app.dashboard.rig.cameras import camera_lines
from app.dashboard.rig.labels import LabelCounts
from app.dashboard.rig.next_step import LastJob, Situation, next_step

CAMERAS, JOINTS = ("cam01", "cam02", "cam03"), ("nose", "right_wrist")
WELL = Covered(60, 60, dict.fromkeys(CAMERAS, 0.8))


def counts(frames: int = 60) -> LabelCounts:
    """Everything seen by everybody."""
    return LabelCounts.of(np.full((frames, 3, 2), 2, np.uint8))


def told(**changed: object) -> figures.Figures:
    """A checkpoint that finds everything alike."""
    metrics = {
        "held_out_frames": ["a", "b"],
        "no_fusion": {"jdr": 0.7, "per_joint": [{"joint": name, "jdr": 0.7} for name in JOINTS]},
        "fused": {
            "jdr": 0.95,
            "per_joint": [{"joint": name, "jdr": 0.95} for name in JOINTS],
            "per_camera": [{"camera": name, "jdr": 0.95} for name in CAMERAS],
        },
    } | changed
    return figures.read({"metrics": metrics})


def advice(
    *, covered: Covered | None = WELL, labels: LabelCounts | None = None, of: figures.Figures | None = None
) -> list[str]:
    return [f"{one.what}: {one.why}" for one in advise(CAMERAS, JOINTS, covered, labels or counts(), of)]


def test_nothing_is_asked_for_where_all_is_well_or_nothing_is_known() -> None:
    assert advice(of=told()) == []
    assert advise(CAMERAS, JOINTS, None, None, None) == []


def test_a_joint_that_a_camera_hardly_sees_is_named_with_its_figures() -> None:
    visibility = np.full((60, 3, 2), 2, np.uint8)
    visibility[:56, 1, 1] = 1
    told_of = advice(labels=LabelCounts.of(visibility), of=told())
    why = "it is hidden there in 93% of its labels, and only 4 frames show it"
    assert told_of == [f"Label frames where cam02 sees the right wrist: {why}"]
    visibility[:, 1, 1] = 1
    assert "no frame shows it" in advice(labels=LabelCounts.of(visibility))[0]


def test_too_few_frames_come_before_all_else() -> None:
    visibility = np.full((10, 3, 2), 2, np.uint8)
    visibility[:, 0, 0] = 1
    first = advice(covered=Covered(10, 10, {}), labels=LabelCounts.of(visibility))[0]
    assert first == "Label 40 frames more, of other poses and places: 10 are labelled, about 50 are recommended"


@pytest.mark.parametrize(
    ("covered", "sentence"),
    [
        (Covered(60, 12, {}), "the 60 labelled frames show only 12 distinct poses, and count as so many"),
        (Covered(60, 60, {"cam03": 0.1}), "labels lie in only 10% of it; elsewhere nothing was learned or judged"),
    ],
)
def test_poor_coverage_is_told(covered: Covered, sentence: str) -> None:
    assert sentence in advice(covered=covered)[0]


def test_a_camera_without_labels_and_one_with_few_are_told() -> None:
    visibility = np.full((60, 3, 2), 2, np.uint8)
    visibility[:, 0] = 0
    visibility[20:, 1] = 0
    sentences = advice(labels=LabelCounts.of(visibility))
    assert sentences[0] == "Label cam01: it has no labels: its pose cannot be checked nor its fusion judged"
    lines = camera_lines(CAMERAS, None, LabelCounts.of(visibility), {})
    assert [(line.state, line.note) for line in lines] == [("bad", "has no labels"), ("", ""), ("", "")]


def test_joints_that_nobody_sees_need_another_camera_not_labels() -> None:
    visibility = np.full((60, 3, 2), 2, np.uint8)
    visibility[:20, :, 1] = 1
    assert any(
        line.startswith("Another place for a camera would help cam01 more")
        for line in advice(labels=LabelCounts.of(visibility))
    )


def test_what_is_measured_worse_than_the_rest_is_told() -> None:
    fused = {
        "jdr": 0.9,
        "per_joint": [{"joint": "nose", "jdr": 0.95}, {"joint": "right_wrist", "jdr": 0.6}],
        "per_camera": [{"camera": "cam01", "jdr": 0.7}, {"camera": "cam02", "jdr": 0.95}],
    }
    calibration = {"cameras": [{"camera": "cam02", "turned_degrees": 3.0, "moved_mm": 1.0}]}
    alone = {"cameras": [{"camera": "cam03", "reason": "It harms."}]}
    of = told(
        fused=fused | {"per_camera": [*fused["per_camera"], {"camera": "cam03"}]},
        calibration=calibration,
        fallback=alone,
    )
    sentences = advice(of=of)
    assert sentences[0].startswith("Check the calibration and timing of cam03")
    assert any(
        "right wrist in motion: 60% of its held-out labels are found, of all joints 90%" in line for line in sentences
    )
    assert any("cam01: 70% of its held-out labels are found, over all cameras 90%" in line for line in sentences)
    assert any(line == "Calibrate cam02 again: to fit the labels it had to be turned by 3.0°" for line in sentences)
    states = {line.id: line.state for line in camera_lines(CAMERAS, of, None, {})}
    assert states == {"cam01": "warn", "cam02": "warn", "cam03": "bad"}


def test_frames_too_few_to_judge_by_are_told_with_the_interval() -> None:
    evidence = [{"rival": "no_fusion", "jdr_gain": 0.05, "interval": [-0.02, 0.12], "verdict": "unclear"}]
    why = "2 held-out frames cannot tell this checkpoint from no fusion (-2.0 to +12.0 points)"
    assert advice(of=told(evidence=evidence)) == [f"Label more frames, so that there are more to judge by: {why}"]


NEW = Situation("rig_1", archived=False, captures=0, usable_capture=None, has_active=False, has_good=False,
                job=None, newest_refused=None, drift_ratio=None, views_used=None, cameras=4)  # fmt: skip
JOB = LastJob("ada_1", "running", "finetune", 0.4, "cap_1", "", "")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "Drop about 50 labelled frames"),
        ({"captures": 1, "usable_capture": "cap_1"}, "start the adaptation"),
        ({"captures": 1, "usable_capture": "cap_1", "has_good": True}, "no checkpoint is active"),
        ({"captures": 1}, "No labelled frames are left"),
        ({"captures": 1, "job": JOB}, "finetune, 40%"),
        ({"captures": 1, "job": replace(JOB, state="queued")}, "waits for a worker"),
        ({"captures": 1, "job": replace(JOB, state="failed", error="No memory.")}, "No memory."),
        ({"captures": 1, "newest_refused": "Not promoted: it is worse."}, "It is worse."),
        ({"captures": 1, "has_active": True}, "All is well"),
        ({"captures": 1, "has_active": True, "job": replace(JOB, state="failed", error="No.")}, "as before"),
        (
            {"captures": 1, "has_active": True, "newest_refused": "Not promoted: alike."},
            "not promoted. Alike.",
        ),
        ({"captures": 1, "has_active": True, "drift_ratio": 1.8}, "1.8 times worse"),
        ({"has_active": True, "drift_ratio": 1.8, "views_used": 2.5}, "Only 2.5 of 4 views agree"),
        ({"archived": True, "has_active": True, "drift_ratio": 2.0}, "takes nothing new"),
    ],
)
def test_the_next_step_is_one_sentence(changed: dict[str, object], sentence: str) -> None:
    step = next_step(replace(NEW, **changed))  # type: ignore[arg-type]
    assert sentence in step.sentence
    assert step.sentence.endswith(".")
    assert "archived" in changed or step.link or step.adapt

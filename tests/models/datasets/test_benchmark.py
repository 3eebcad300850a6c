"""The protocol: which frames it takes, what it scores, and the whole of it through the command line."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dataset_files import panoptic
from scipy.spatial.transform import Rotation

from models import heatmap
from models.adaptation import adapt
from models.benchmark import arguments, main
from models.datasets.heatmap_store import Pick, Stored
from models.datasets.judge import UNLEARNED, engine_of, judge
from models.datasets.panoptic import open_dataset
from models.datasets.protocol import Stage, _picked
from models.datasets.sequence import LIMBS, Dataset
from models.datasets.shots import benchmark_rig, shots
from models.errors import DatasetError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def root(tmp_path_factory, panoptic_rig, panoptic_joints):
    """A Panoptic-like studio with one recording of 20 frames, drawn pictures and all."""
    folder = tmp_path_factory.mktemp("panoptic")
    panoptic(folder, "pose1", panoptic_rig, panoptic_joints)
    return folder


def perfect(picks):
    """Heatmaps that show every label, as a detector without fault would."""
    labels = np.concatenate([pick.shot.labels[pick.index] for pick in picks])
    return Stored(heatmap.render(labels, 1.5).astype(np.float16), np.ones(len(labels), np.bool_))


@pytest.fixture(scope="module")
def stage(root):
    """Labelled frames of one calibration; test frames of another, whose second camera was turned by 2° since."""
    sequence = open_dataset(root, 3, 1).train[0]
    camera = sequence.rig.cameras[1]
    turned = camera.with_pose(Rotation.from_rotvec([0, np.radians(2), 0]).as_matrix() @ camera.R, camera.t)
    cameras = (sequence.rig.cameras[0], turned, sequence.rig.cameras[2])
    later = replace(sequence, name="later", rig=replace(sequence.rig, cameras=cameras))
    rig = benchmark_rig(Dataset("panoptic", (sequence,), (later,)), "coco17")
    train, test = (tuple(Pick(s, s.usable) for s in shots(rig, side)) for side in ([sequence], [sequence, later]))
    order = np.random.default_rng(0).permutation(len(train[0].index))
    return Stage(rig, train, test, perfect(train), perfect(test), order)


def test_more_labelled_frames_contain_the_fewer(stage):
    few, many = stage.labelled(8), stage.labelled(11)
    assert set(few.frames) < set(many.frames)
    assert many.frames == tuple(sorted(many.frames, key=lambda name: int(name.partition(":")[2])))
    row = many.frames.index(few.frames[3])
    np.testing.assert_array_equal(many.joints_view[row], few.joints_view[3])
    np.testing.assert_array_equal(many.heatmaps[row], few.heatmaps[3])
    assert set(np.unique(few.visibility)) == {0, 2}
    with pytest.raises(DatasetError, match="13 labelled frames were asked for; there are 12"):
        stage.labelled(13)


def test_frames_are_numbered_over_all_recordings(stage):
    taken = [pick.shot for pick in stage.test]
    picks = _picked(taken, lambda total: np.array([0, 3, total // 2, total - 1]))
    assert [pick.index.tolist() for pick in picks] == [[0, 3], [0, 11]]
    assert [pick.shot.sequence.name for pick in picks] == ["pose1", "later"]


def test_a_recording_calibrated_anew_is_triangulated_by_its_own_cameras(stage):
    checkpoint = adapt(stage.rig, stage.labelled(12), method="naivefuse")
    done = []
    learned = judge(stage, lambda rig: engine_of(checkpoint, stage.rig, rig), ("robust",), done.append)
    unlearned = judge(stage, UNLEARNED["none"], ("robust",), lambda _: None)
    assert sum(done) == len(learned.hits) == 24
    for outcome in (unlearned, learned):
        assert outcome.joints == LIMBS
        assert outcome.counts.sum() > 700
        assert outcome.missing("robust") < 20
    assert unlearned.jdr(0)["average"].value == 100
    assert unlearned.mpjpe("robust", 0).value < 5  # with the first recording's cameras it would be about 50


def test_frames_without_an_image_are_left_out(stage):
    whole = np.ones(24, np.bool_)
    whole[[1, 13]] = False
    some = replace(stage, test_heatmaps=replace(stage.test_heatmaps, whole=whole))
    assert [(index.tolist(), rows.tolist()) for _, index, rows in some.tests()] == [
        ([0, *range(2, 12)], [0, *range(2, 12)]),
        ([0, *range(2, 12)], [12, *range(14, 24)]),
    ]
    assert len(judge(some, UNLEARNED["none"], ("robust",), lambda _: None).hits) == 22


def rigfuse(*given):
    """Run the command; columns are wide so that nothing is wrapped."""
    command = [sys.executable, "-m", "app.cli", "benchmark", *map(str, given)]
    environment = {**os.environ, "COLUMNS": "140", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_whole_of_it_from_pictures_to_a_table_and_a_file(root, tmp_path):
    out = tmp_path / "results.json"
    given = {
        "dataset": "panoptic",
        "root": root,
        "method": "none,naivefuse",
        "frames": "8,500",
        "cameras": 3,
        "every": 1,
    }
    options = [part for name, value in given.items() for part in (f"--{name}", value)]
    done = rigfuse(*options, "--limit", 4, "--no-pictorial", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "paper: MetaFuse" in done.stdout
    assert "its own backbone" in done.stdout
    assert "left out: 500 labelled frames; there are 12" in done.stderr
    found = json.loads(out.read_text())
    assert [(r["method"], r["labelled_frames"], r["test_frames"]) for r in found["results"]] == [
        ("none", None, 4),
        ("naivefuse", 8, 4),
    ]
    for row in found["results"]:
        value, low, high = row["jdr_percent"]["average"]
        assert 20 < value < 80  # drawn people: left and right are often exchanged, places are found
        assert low <= value <= high
        assert row["mpjpe_mm"]["robust"][0] > 0
    assert found["dataset"]["frames"]["test"] == {"pose1": 4}
    assert found["dataset"]["cameras"] == ["00_03", "00_11", "00_24"]
    assert len(found["backbone"]["digest"]) == len(found["dataset"]["rig"]) == 64
    assert found["threshold"]["rule"].startswith("half of a tenth")
    assert found["skipped_frames"] == [500]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--dataset", "panoptic", "--root", "/nowhere"), "rigfuse: /nowhere: cannot be read"),
        (("--dataset", "shelf", "--root", "."), "--dataset: invalid choice: 'shelf'"),
        (("--dataset", "panoptic", "--root", ".", "--method", "magic"), "--method: magic not known"),
        (("--dataset", "panoptic", "--root", ".", "--out", "/nowhere/x.json"), "--out: there is no folder /nowhere"),
        (("--dataset", "panoptic", "--root", ".", "--out", "/"), "--out: / is a folder, not a file"),
        (("--dataset", "panoptic", "--root", ".", "--frames", "fifty"), "'fifty' is no list of whole numbers"),
        (("--dataset", "panoptic", "--root", ".", "--frames", "7,50"), "--frames: name numbers from 8 on"),
        (("--dataset", "panoptic", "--root", ".", "--frames", ","), "--frames: name numbers from 8 on"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(options, told, capsys):
    with pytest.raises(SystemExit) as left:
        main(options)
    assert left.value.code in {1, 2}
    assert told in capsys.readouterr().err


def test_the_command_line_is_read():
    read = arguments(
        ["--dataset", "panoptic", "--root", "x", "--frames", "100,50", "--cameras", "00_03,00_11", "--method", "none"]
    )
    assert (read.frames, read.cameras, read.method) == ((50, 100), ("00_03", "00_11"), ("none",))
    assert arguments(["--dataset", "human36m", "--root", "x"]).cameras == 4

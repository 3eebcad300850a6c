import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.adaptations.schemas import Adaptation
from app.captures.schemas import CaptureOut
from app.demo import synthetic
from app.demo.evaluate import Prediction, reproject, score
from app.demo.job import NO_FUSION, Outcome
from app.demo.report import summary, write_summary
from app.demo.scene import Scene, Upload, save_heatmaps
from app.tables import utc_now
from models.checkpoint import Checkpoint
from models.labelled import labels_from_document
from models.runtime import Engine
from models.weights import default_omega


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, ...]]:
    done: list[None] = []
    yield synthetic.scenes(tmp_path_factory.mktemp("worlds"), lambda: done.append(None))
    assert len(done) == 2


def _unfused(scene: Scene) -> Prediction:
    with np.load(scene.test.path) as data:
        assert tuple(data["frames"]) == scene.truth.frames
        assert tuple(data["cameras"]) == scene.cameras
        poses = Engine.unfused(scene.rig).poses(data["heatmaps"])
    return Prediction(
        poses.poses2d, poses.confidence2d, poses.pose3d, poses.reprojection_px, reproject(scene.rig, poses.pose3d)
    )


def test_synthetic_heatmaps_and_truth_share_one_convention(scenes: tuple[Scene, ...]) -> None:
    exact, disturbed = (score(scene.truth, _unfused(scene)) for scene in scenes)
    assert exact.jdr > 0.7
    assert exact.jdr_hidden < 0.5, "hidden joints are what the detector loses"
    assert exact.median_aligned_mm < 40
    assert exact.mpjpe_mm < disturbed.mpjpe_mm, "wrong cameras cost in space"
    assert abs(exact.jdr - disturbed.jdr) < 0.05, "but not in the image"


def test_synthetic_labels_are_what_the_service_reads(scenes: tuple[Scene, ...]) -> None:
    for scene in scenes:
        frames, joints, visibility = labels_from_document(scene.rig, scene.labels)
        assert len(frames) == 50
        assert not set(frames) & set(scene.truth.frames)
        assert 0.05 < (visibility == 1).mean() < 0.35
        assert np.isfinite(joints[visibility > 0]).all()


def test_synthetic_person_is_in_view(scenes: tuple[Scene, ...]) -> None:
    for scene in scenes:
        assert scene.truth.scored.mean() > 0.97


def test_some_frames_of_heatmaps(tmp_path: Path) -> None:
    heatmaps = np.random.default_rng(0).random((3, 2, 4, 64, 64))
    save_heatmaps(tmp_path / "all.npz", heatmaps, ["a", "b", "c"], ["x", "y"])
    some = Upload(tmp_path / "all.npz", images=False).subset(("c", "a"), tmp_path / "some.npz")
    assert (some.frames, some.heatmaps) == (None, tmp_path / "some.npz")
    with np.load(some.path) as data:
        assert data["frames"].tolist() == ["c", "a"]
        np.testing.assert_allclose(data["heatmaps"], heatmaps[[2, 0]], atol=1e-3)
    assert some.image("a", "x") is None


def test_some_frames_of_images(tmp_path: Path) -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 2] = 250  # BGR, as OpenCV writes it
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("a/x.jpg", "a/y.jpg", "b/x.jpg"):
            archive.writestr(name, cv2.imencode(".jpg", red)[1].tobytes())
    some = Upload(tmp_path / "all.zip", images=True).subset(("a",), tmp_path / "some.zip")
    assert zipfile.ZipFile(some.path).namelist() == ["a/x.jpg", "a/y.jpg"]
    image = some.image("a", "y")
    assert image is not None
    assert image.shape == (20, 30, 3)
    assert image[10, 10, 0] > 200, "RGB: red comes first"


def test_the_summary_of_what_came_of_a_scene_can_be_written(scenes: tuple[Scene, ...], tmp_path: Path) -> None:
    scene, now = scenes[0], utc_now()
    capture = CaptureOut(
        id="cap_1", rig="rig_1", kind="heatmaps", frames=50, labelled_joints=9, coverage={}, warnings=[], digest="0",
        size_bytes=1, created_at=now, keep_until=None, purged_at=None,
    )  # fmt: skip
    adaptation = Adaptation.model_construct(
        id="ada_1", method="metafuse", seed=0, metrics={"jdr": 1.0}, checkpoint="ckp_1", started_at=now, finished_at=now
    )
    nothing = np.empty(0, np.float32)
    omega = default_omega()
    checkpoint = Checkpoint(
        "metafuse", 0, "", "", omega, None, nothing, nothing, nothing, repaired=False, project=False
    )
    outcome = Outcome(scene, "rig_1", capture, adaptation, checkpoint, {NO_FUSION: _unfused(scene)}, nothing)
    path = write_summary(summary([outcome], {}, {}, synthetic=True), tmp_path / "summary.json")
    told = json.loads(path.read_text())["scenes"][scene.name]
    assert told["ids"] == {"rig": "rig_1", "capture": "cap_1", "adaptation": "ada_1", "checkpoint": "ckp_1"}
    assert told["capture"]["frames"] == 50
    assert told["scores"][NO_FUSION]["jdr"] > 0.7

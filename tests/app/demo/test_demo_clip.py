import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.demo.clip import ClipLabels, calibrated_frames, shipped_rig, write_zips
from app.demo.errors import DemoFailed
from app.demo.qualisys import read_cameras
from models.labelled import labels_from_document

CALIBRATION = Path(__file__).parent / "data" / "calibration.qca.txt"


def _video(path: Path, frames: int, size: tuple[int, int] = (64, 96)) -> Path:
    """A video whose frame n is a flat grey of 10·n with a white square at (20, 40)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, size)
    for n in range(frames):
        image = np.full((size[1], size[0], 3), 10 * n, np.uint8)
        image[36:44, 16:24] = 255
        writer.write(image)
    writer.release()
    return path


def test_label_document_is_what_the_service_reads() -> None:
    labels = ClipLabels.load()
    rig = shipped_rig(read_cameras(CALIBRATION), labels)
    cameras = [camera.id for camera in rig.cameras]
    frames, joints, visibility = labels_from_document(rig, labels.document("occluded", cameras))
    assert frames == tuple(f"{n:06d}" for n in range(50))
    assert (visibility[:, :, 5:] > 0).all(), "every limb joint is labelled"
    np.testing.assert_allclose(joints[visibility > 0], labels.labels2d[:50][visibility > 0])
    np.testing.assert_array_equal(visibility == 1, labels.occluded_by_person[:50] & (visibility > 0))
    assert (labels_from_document(rig, labels.document("clean", cameras))[2] != 1).all(), "nobody stands in front"


def test_truth_scores_limbs_and_knows_what_is_hidden() -> None:
    labels = ClipLabels.load()
    clean, occluded = labels.truth("clean"), labels.truth("occluded")
    assert clean.frames[0] == "000055"
    assert len(clean.frames) == 44
    assert not clean.scored[:, :, :5].any(), "faces are blurred"
    assert clean.scored[:, :, 5:].all()
    assert not clean.hidden.any()
    assert 50 < (occluded.hidden & occluded.scored).sum() < 200
    np.testing.assert_array_equal(clean.joints_image, occluded.joints_image)
    assert not set(labels.train_frames) & set(labels.test_frames)


def test_frames_are_shifted_and_warped(tmp_path: Path) -> None:
    videos = [_video(tmp_path / f"{name}.avi", 4) for name in "ab"]
    affine = np.array([[1.0, 5.0, -7.0], [1.0, 0.0, 0.0]])
    frames = dict(calibrated_frames(videos, affine, (64, 96), shift=1))
    assert sorted(frames) == [0, 1, 2]
    moved, still = frames[0]
    assert abs(int(still[5, 5, 0]) - 10) < 4, "frame 0 shows what frame 1 of the video shows"
    assert still[40, 20, 0] > 240
    assert moved[33, 25, 0] > 240, "5 px to the right, 7 up"
    assert moved[43, 20, 0] < 40


def test_zips_hold_the_frames_asked_for(tmp_path: Path) -> None:
    videos = [_video(tmp_path / f"{name}.avi", 5) for name in "ab"]
    frames = calibrated_frames(videos, np.array([[1.0, 0, 0]] * 2), (64, 96), shift=0)
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    write_zips(frames, ["cam01", "cam02"], {first: (0, 1), second: (3,)})
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == [f"00000{f}/cam0{c}.jpg" for f in (0, 1) for c in (1, 2)]
        image = cv2.imdecode(np.frombuffer(archive.read("000001/cam02.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (96, 64, 3)
    assert zipfile.ZipFile(second).namelist() == ["000003/cam01.jpg", "000003/cam02.jpg"]


def test_a_video_that_ends_too_early_is_told(tmp_path: Path) -> None:
    videos = [_video(tmp_path / f"{name}.avi", 3) for name in "ab"]
    frames = calibrated_frames(videos, np.array([[1.0, 0, 0]] * 2), (64, 96), shift=0)
    with pytest.raises(DemoFailed, match="before frame 7"):
        write_zips(frames, ["cam01", "cam02"], {tmp_path / "x.zip": (1, 7)})

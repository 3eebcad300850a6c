"""The two scenes of the real recording: one person, and the same motion behind a second person."""

from collections.abc import Callable
from pathlib import Path

from app.demo.clip import FRAME_SHIFT, ClipLabels, calibrated_frames, shipped_rig, write_zips
from app.demo.fetch import Recording
from app.demo.qualisys import read_cameras
from app.demo.scene import Scene, Upload

FRAMES_PER_SECOND = 60.0
TITLES = {
    "clean": "Clean clip",
    "occluded": "Occluded clip",
}
ABOUT = {
    "clean": "one person, four cameras; the extrinsics sent are those that ship with the clip, off by up to 15 px",
    "occluded": "the same motion and rig, with a second person composited in front of the first",
}


def scenes(recording: Recording, scratch: Path, progress: Callable[[], None]) -> tuple[Scene, ...]:
    """Both scenes, their uploads written under ``scratch``; ``progress`` is called once a frame of each clip."""
    labels = ClipLabels.load()
    rig = shipped_rig(read_cameras(recording.calibration), labels)
    cameras = [camera.id for camera in rig.cameras]
    size = (rig.cameras[0].width, rig.cameras[0].height)
    built = []
    for clip, videos in recording.videos.items():
        capture, test = scratch / f"{clip}-capture.zip", scratch / f"{clip}-test.zip"
        frames = calibrated_frames(videos, labels.video_affine[clip], size, FRAME_SHIFT[clip])
        write_zips(frames, cameras, {capture: labels.train_frames, test: labels.test_frames}, progress)
        built.append(
            Scene(
                name=clip,
                title=TITLES[clip],
                about=ABOUT[clip],
                rig=rig,
                labels=labels.document(clip, cameras),
                capture=Upload(capture, images=True),
                test=Upload(test, images=True),
                truth=labels.truth(clip),
                frames_per_second=FRAMES_PER_SECOND,
                truth_name="consensus labels",
                truth_source="consensus labels of the clean clip",
            )
        )
    return tuple(built)

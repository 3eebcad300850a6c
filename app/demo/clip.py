"""The recording as a studio would send it: frames in calibration pixels, labels, and the rig as it ships."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.demo.errors import DemoFailed
from app.demo.evaluate import Truth
from models.rig import Camera, Rig
from models.skeletons import skeleton

Array = NDArray[np.float64]
Image = NDArray[np.uint8]  # BGR [height, width, 3], as OpenCV reads it

SKELETON = "coco17"
FRAME_SHIFT = {"clean": 0, "occluded": 1}  # frame f of the clean clip is frame f + shift of this one
FIRST_LIMB_JOINT = 5  # COCO's joints 0–4 are the face, which is blurred in the footage
VOLUME_MARGIN_M = 0.1  # chosen on frames 0–49 of the occluded clip: wider views let the other person in
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class ClipLabels:
    """The consensus labels of app/demo/data (its README tells what they are); all coordinates in calibration pixels."""

    joints3d: Array
    labels2d: Array
    label_ok: NDArray[np.bool_]
    half_head_px: Array
    occluded_by_person: NDArray[np.bool_]
    train_frames: tuple[int, ...]
    test_frames: tuple[int, ...]
    video_affine: dict[str, Array]

    @classmethod
    def load(cls) -> "ClipLabels":
        """Read the data file of the package."""
        with (
            resources.as_file(resources.files("app.demo") / "data" / "demo_clip.npz") as path,
            np.load(path, allow_pickle=False) as data,
        ):
            return cls(
                joints3d=data["joints3d"].astype(np.float64),
                labels2d=data["labels2d"].astype(np.float64),
                label_ok=data["label_ok"],
                half_head_px=data["half_head_px"].astype(np.float64),
                occluded_by_person=data["occluded_by_person"],
                train_frames=tuple(data["train_frames"].tolist()),
                test_frames=tuple(data["test_frames"].tolist()),
                video_affine={"clean": data["video_affine_single"], "occluded": data["video_affine_multi"]},
            )

    def document(self, clip: str, cameras: Sequence[str]) -> dict[str, Any]:
        """API.md's labels JSON for the frames to learn from: v is 0 not trusted, 1 behind the other person, 2 seen."""
        visibility = self._visibility(clip)
        return {
            "frames": [
                {
                    "frame": frame_name(frame),
                    "cameras": {
                        camera: np.column_stack([self.labels2d[frame, view], visibility[frame, view]]).tolist()
                        for view, camera in enumerate(cameras)
                    },
                }
                for frame in self.train_frames
            ]
        }

    def _visibility(self, clip: str) -> NDArray[np.uint8]:
        seen = np.where(self.hidden(clip), 1, 2)
        return np.where(self.label_ok[:, None], seen, 0).astype(np.uint8)

    def hidden(self, clip: str) -> NDArray[np.bool_]:
        """Joints behind the second person [F, V, J]; nobody stands in front in the clean clip."""
        return self.occluded_by_person if clip == "occluded" else np.zeros_like(self.occluded_by_person)

    def truth(self, clip: str) -> Truth:
        """What the test frames are judged by: limb joints only."""
        test = list(self.test_frames)
        limbs = np.arange(self.labels2d.shape[2]) >= FIRST_LIMB_JOINT
        scored = self.label_ok[test][:, None] & limbs
        return Truth(
            frames=tuple(frame_name(frame) for frame in test),
            joints_image=self.labels2d[test],
            joints_world=self.joints3d[test],
            scored=np.broadcast_to(scored, self.labels2d[test].shape[:3]),
            hidden=self.hidden(clip)[test],
            radius_px=self.half_head_px[test],
            skeleton=skeleton(SKELETON),
        )


def frame_name(frame: int) -> str:
    """The id under which a frame is sent; both clips use the clean clip's count."""
    return f"{frame:06d}"


def shipped_rig(cameras: tuple[Camera, ...], labels: ClipLabels) -> Rig:
    """The rig to send: extrinsics as they ship, a volume around the path of frames 0–49, upright views."""
    path = labels.joints3d[list(labels.train_frames)][labels.label_ok[list(labels.train_frames)]]
    volume = (path.min(0) - VOLUME_MARGIN_M, path.max(0) + VOLUME_MARGIN_M)
    return Rig(cameras, SKELETON, "m", np.array([0.0, 0.0, 1.0]), volume)


def calibrated_frames(
    videos: Sequence[Path], affine: Array, size: tuple[int, int], shift: int
) -> Iterator[tuple[int, list[Image]]]:
    """Frame by frame, the synchronised images of all cameras [V], warped to calibration pixels of ``size`` (w, h)."""
    readers = [cv2.VideoCapture(str(video)) for video in videos]
    try:
        frame = -shift
        while True:
            images = [reader.read() for reader in readers]
            if not all(read for read, _ in images):
                break
            if frame >= 0:
                yield frame, [_warp(image, a, size) for (_, image), a in zip(images, affine, strict=True)]
            frame += 1
    finally:
        for reader in readers:
            reader.release()


def _warp(image: Any, affine: Array, size: tuple[int, int]) -> Image:
    """``calibration pixel = s · video pixel + (tx, ty)``."""
    scale, x, y = affine
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    warped = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def write_zips(
    frames: Iterator[tuple[int, list[Image]]],
    cameras: Sequence[str],
    wanted: dict[Path, Sequence[int]],
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Write zips of ``<frame>/<camera>.jpg``: for each path the frames that it shall hold, in one pass over the video.

    Raises DemoFailed where the recording ends too early.
    """
    missing = {path: set(names) for path, names in wanted.items()}
    archives = {path: zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) for path in wanted}  # JPEG does not deflate
    try:
        for frame, images in frames:
            for path in (path for path, rest in missing.items() if frame in rest):
                for camera, image in zip(cameras, images, strict=True):
                    entry = zipfile.ZipInfo(f"{frame_name(frame)}/{camera}.jpg")  # no time in it: same bytes each run
                    archives[path].writestr(entry, _jpeg(image))
                missing[path].discard(frame)
            progress()
    finally:
        for archive in archives.values():
            archive.close()
    short = sorted(set().union(*missing.values()))
    if short:
        raise DemoFailed(f"The videos end before frame {short[0]}: OpenCV could not read all of them.")


def _jpeg(image: Image) -> bytes:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise DemoFailed("OpenCV could not write a JPEG.")
    return data.tobytes()

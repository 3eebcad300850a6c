"""The real recording for benchmarks.person_crops: volumes of several widths, adapted, then looked at in both ways."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.demo.clip import (
    FIRST_LIMB_JOINT,
    FRAME_SHIFT,
    ClipLabels,
    calibrated_frames,
    frame_name,
    shipped_rig,
    write_zips,
)  # fmt: skip
from app.demo.evaluate import Truth
from app.demo.fetch import Recording
from app.demo.qualisys import read_cameras
from models.adaptation import adapt
from models.backbone import Backbone
from models.crops import See
from models.cutting import ViewCutter
from models.geometry import image_to_view
from models.labelled import LabelledFrames
from models.rig import Rig
from models.runtime import Engine
from models.skeletons import skeleton
from models.views import View

MARGINS_M: tuple[float | None, ...] = (0.1, 0.5, None)  # around the path of frames 0–49; None: the whole image
Images = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True)
class Scene:
    """A clip with a volume of one width: its rig, the engines to compare, and frames to look at."""

    name: str
    rig: Rig
    engines: dict[str, Engine]
    truth: Truth
    eyes: Callable[[int], See]


def scenes(recording: Recording, scratch: Path, backbone: Backbone, frames: str) -> Iterator[Scene]:
    """Every clip with every volume, learned on frames 0–49; judged on the ``test`` frames, or on those learned from."""
    labels = ClipLabels.load()
    cameras = read_cameras(recording.calibration)
    narrow = shipped_rig(cameras, labels)
    learn = list(labels.train_frames)
    judged = list(labels.test_frames) if frames == "test" else learn[1::3]
    for clip, videos in recording.videos.items():
        archive = scratch / f"{clip}.zip"
        size = (cameras[0].width, cameras[0].height)
        images = calibrated_frames(videos, labels.video_affine[clip], size, FRAME_SHIFT[clip])
        write_zips(images, [camera.id for camera in cameras], {archive: sorted({*learn, *judged})})
        for margin in MARGINS_M:
            rig = _widened(narrow, labels, margin)
            eyes = Eyes(archive, rig, backbone)
            checkpoint = adapt(rig, _labelled(labels, clip, rig, eyes, learn))
            width = "whole image" if margin is None else f"{margin:g} m"
            engines = {"fused": Engine.load(rig, checkpoint), "no fusion": Engine.unfused(rig)}
            yield Scene(f"{clip}, {width}", rig, engines, _truth(labels, clip, judged), eyes.of(judged))


def _widened(rig: Rig, labels: ClipLabels, margin: float | None) -> Rig:
    if margin is None:
        return replace(rig, volume=None)
    learn = list(labels.train_frames)
    path = labels.joints3d[learn][labels.label_ok[learn]]
    return replace(rig, volume=(path.min(0) - margin, path.max(0) + margin))


@dataclass
class Eyes:
    """What the backbone sees of a clip's images through any views."""

    archive: Path
    rig: Rig
    backbone: Backbone

    def of(self, frames: Sequence[int]) -> Callable[[int], See]:
        """The eyes for the frame at a place in ``frames``."""
        cutter = ViewCutter(self.rig)

        def at(place: int) -> See:
            images = self._images(frames[place])

            def see(views: Sequence[View]) -> NDArray[np.float32]:
                cuts = [cutter.cut(index, image, views[index]) for index, image in enumerate(images)]
                return self.backbone.heatmaps(np.stack(cuts))

            return see

        return at

    def _images(self, frame: int) -> Images:
        with zipfile.ZipFile(self.archive) as archive:
            data = [archive.read(f"{frame_name(frame)}/{camera.id}.jpg") for camera in self.rig.cameras]
        decoded = [cv2.imdecode(np.frombuffer(item, np.uint8), cv2.IMREAD_COLOR_RGB) for item in data]
        return [np.asarray(image, np.uint8) for image in decoded]


def _labelled(labels: ClipLabels, clip: str, rig: Rig, eyes: Eyes, frames: list[int]) -> LabelledFrames:
    """What a studio uploads: heatmaps of the fixed views, in half precision as they are stored, and labels."""
    at = eyes.of(frames)
    heatmaps = np.stack([at(place)(rig.views) for place in range(len(frames))])
    joints = [
        image_to_view(camera, view, labels.labels2d[frames, index])
        for index, (camera, view) in enumerate(zip(rig.cameras, rig.views, strict=True))
    ]
    trusted = np.broadcast_to(labels.label_ok[frames][:, None], labels.labels2d[frames].shape[:3])
    seen = np.where(labels.hidden(clip)[frames], 1, 2)
    return LabelledFrames(
        tuple(frame_name(frame) for frame in frames),
        heatmaps.astype(np.float16).astype(np.float32),
        np.where(trusted[..., None], np.stack(joints, axis=1), np.nan),
        np.where(trusted, seen, 0).astype(np.uint8),
    )


def _truth(labels: ClipLabels, clip: str, frames: list[int]) -> Truth:
    limbs: Any = np.arange(labels.labels2d.shape[2]) >= FIRST_LIMB_JOINT
    scored = labels.label_ok[frames][:, None] & limbs
    return Truth(
        frames=tuple(frame_name(frame) for frame in frames),
        joints_image=labels.labels2d[frames],
        joints_world=labels.joints3d[frames],
        scored=np.broadcast_to(scored, labels.labels2d[frames].shape[:3]),
        hidden=labels.hidden(clip)[frames],
        radius_px=labels.half_head_px[frames],
        skeleton=skeleton("coco17"),
    )

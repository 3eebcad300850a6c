"""Synchronised frames as they are sent, images or heatmaps, and how either becomes heatmaps of a rig."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import heatmap_files, image_files
from app.heatmap_files import HeatmapFile, check_heatmaps
from app.image_files import ImageFile, check_images
from app.settings import Settings
from app.uploads import Upload
from models.backbone import Backbone, check_skeleton
from models.cutting import ViewCutter
from models.heatmap import HEATMAP_SIZE
from models.rig import Rig

FrameFile = ImageFile | HeatmapFile
GetBackbone = Callable[[], Backbone]
HEATMAP_BYTES = HEATMAP_SIZE * HEATMAP_SIZE * np.dtype(np.float32).itemsize
KINDS = {image_files.PART: "images", heatmap_files.PART: "heatmaps"}


def check_frames(upload: Upload, rig: Rig, settings: Settings, max_frames: int) -> FrameFile:
    """Check whichever of the two parts came; raises InvalidInput that names what is wrong.

    No more frames are taken than fit into ``max_heatmap_bytes`` once they are heatmaps: a small file may hold many.
    """
    part, path = upload.one_of(image_files.PART, heatmap_files.PART)
    fitting = settings.max_heatmap_bytes // (len(rig.cameras) * len(rig.skeleton.joints) * HEATMAP_BYTES)
    return reopen_frames(KINDS[part], path, rig, settings, min(max_frames, fitting))


def reopen_frames(kind: str, path: Path, rig: Rig, settings: Settings, max_frames: int) -> FrameFile:
    """Check the file at ``path``, ``images`` or ``heatmaps``, against the rig."""
    check = check_images if kind == "images" else check_heatmaps
    return check(path, rig, settings, max_frames)


def read_heatmaps(
    file: FrameFile,
    rig: Rig,
    backbone: GetBackbone,
    cutter: ViewCutter | None = None,
    wanted: Sequence[str] | None = None,
    *,
    progress: Callable[[float], None] = lambda _share: None,
) -> NDArray[np.float32]:
    """Heatmaps of the frames ``wanted`` (default all, in the file's order): float32 [F, V, J, 64, 64].

    ``progress`` hears the share that is done after each frame of images, and may raise.
    ``backbone`` is only called for images; raises SkeletonMismatch where it predicts other joints than the rig's.
    """
    names = tuple(file.frames if wanted is None else wanted)
    if isinstance(file, HeatmapFile):
        return file.load(names)
    return _run_backbone(file, rig, backbone(), cutter or ViewCutter(rig), names, progress=progress)


def _run_backbone(
    file: ImageFile,
    rig: Rig,
    backbone: Backbone,
    cutter: ViewCutter,
    names: tuple[str, ...],
    *,
    progress: Callable[[float], None],
) -> NDArray[np.float32]:
    check_skeleton(rig, backbone)
    place = {name: index for index, name in enumerate(names)}
    views = len(rig.cameras)
    shape = (len(names), views, len(rig.skeleton.joints), HEATMAP_SIZE, HEATMAP_SIZE)
    heatmaps = np.empty(shape, np.float32)
    batch: list[NDArray[np.uint8]] = []
    done = 0
    for frame, camera, image in file.images(rig, frozenset(names)):
        batch.append(cutter.cut(camera, image))
        if len(batch) == views:  # the images of one frame come one after another, in the rig's order
            heatmaps[place[file.frames[frame]]] = backbone.heatmaps(np.stack(batch))
            batch.clear()
            done += 1
            progress(done / len(names))
    return heatmaps

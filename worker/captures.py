"""Stored captures as the engine wants them: heatmaps and labels in view pixels."""

from collections.abc import Callable

import numpy as np

from app.captures.contents import Labels
from app.framesets import read_heatmaps, reopen_frames
from app.tables import CaptureRow
from models.backbone import ViewCutter
from models.labelled import LabelledFrames, labels_to_view
from models.rig import Rig
from worker.context import WorkerContext

_FRAMES_AT_A_TIME = 2


def labelled_frames(
    context: WorkerContext, rig: Rig, capture: CaptureRow, progress: Callable[[str, float], None]
) -> LabelledFrames:
    """The labelled frames of a capture with their heatmaps.

    The backbone makes the heatmaps of images a few frames at a time; ``progress`` hears how far it is, and may raise.
    """
    labels = Labels.from_bytes(context.artifacts.read(capture.labels_sha256))
    path = context.artifacts.path(capture.source_sha256)
    source = reopen_frames(capture.kind, path, rig, context.settings, context.settings.max_capture_frames)
    cutter, count = ViewCutter(rig), len(labels.frames)
    step = _FRAMES_AT_A_TIME if capture.kind == "images" else count
    parts = []
    for start in range(0, count, step):
        progress("heatmaps", start / count)
        wanted = labels.frames[start : start + step]
        parts.append(read_heatmaps(source, rig, lambda: context.backbone, cutter, wanted))
    joints_view = labels_to_view(rig, labels.joints_image)
    return LabelledFrames(labels.frames, np.concatenate(parts), joints_view, labels.visibility)

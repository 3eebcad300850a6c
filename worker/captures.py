"""Stored captures as the engine wants them: heatmaps and labels in view pixels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.captures.contents import Labels
from app.framesets import read_heatmaps, reopen_frames
from app.tables import CaptureRow
from models.labelled import LabelledFrames, labels_to_view
from models.rig import Rig
from worker.context import WorkerContext

Heatmaps = NDArray[np.float32]


def labelled_frames(
    context: WorkerContext,
    rig: Rig,
    capture: CaptureRow,
    progress: Callable[[str, float], None],
    known: Heatmaps | None = None,
) -> LabelledFrames:
    """The labelled frames of a capture with their heatmaps, unless these are ``known`` already.

    The backbone makes the heatmaps of images frame by frame; ``progress`` hears how far it is, and may raise.
    """
    labels = Labels.from_bytes(context.artifacts.read(capture.labels_sha256))
    heatmaps = _read(context, rig, capture, labels, progress) if known is None else known
    return LabelledFrames(labels.frames, heatmaps, labels_to_view(rig, labels.joints_image), labels.visibility)


def _read(
    context: WorkerContext, rig: Rig, capture: CaptureRow, labels: Labels, progress: Callable[[str, float], None]
) -> Heatmaps:
    with context.artifacts.borrow(capture.source_sha256) as path:
        source = reopen_frames(capture.kind, path, rig, context.settings, context.settings.max_capture_frames)
        progress("heatmaps", 0.0)
        return read_heatmaps(
            source,
            rig,
            lambda: context.backbone,
            wanted=labels.frames,
            progress=lambda share: progress("heatmaps", share),
        )

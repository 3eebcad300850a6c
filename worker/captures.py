"""Stored captures as the engine wants them: heatmaps and labels in view pixels."""

from collections.abc import Callable

from app.captures.contents import Labels
from app.framesets import read_heatmaps, reopen_frames
from app.tables import CaptureRow
from models.labelled import LabelledFrames, labels_to_view
from models.rig import Rig
from worker.context import WorkerContext


def labelled_frames(
    context: WorkerContext, rig: Rig, capture: CaptureRow, progress: Callable[[str, float], None]
) -> LabelledFrames:
    """The labelled frames of a capture with their heatmaps.

    The backbone makes the heatmaps of images frame by frame; ``progress`` hears how far it is, and may raise.
    """
    labels = Labels.from_bytes(context.artifacts.read(capture.labels_sha256))
    with context.artifacts.borrow(capture.source_sha256) as path:
        source = reopen_frames(capture.kind, path, rig, context.settings, context.settings.max_capture_frames)
        progress("heatmaps", 0.0)
        heatmaps = read_heatmaps(
            source,
            rig,
            lambda: context.backbone,
            wanted=labels.frames,
            progress=lambda share: progress("heatmaps", share),
        )
    joints_view = labels_to_view(rig, labels.joints_image)
    return LabelledFrames(labels.frames, heatmaps, joints_view, labels.visibility)

"""What a capture holds, read back from its artifacts, for whoever learns from it."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from models.backbone import Backbone
from numpy.typing import NDArray

from app.artifacts import ArtifactStore
from app.framesets import read_heatmaps, reopen_frames
from app.settings import Settings
from app.tables import CaptureRow
from models.errors import CorruptArtifact
from models.labelled import LabelledFrames, labels_to_view
from models.rig import Rig


@dataclass(frozen=True)
class Labels:
    """A capture's 2D labels: joints_image [F, V, J, 2] in raw image pixels, visibility [F, V, J]."""

    frames: tuple[str, ...]
    joints_image: NDArray[np.float64]
    visibility: NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        """The labels as an npz; the same labels give the same bytes."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            frames=np.array(self.frames, dtype="U"),
            joints_image=self.joints_image,
            visibility=self.visibility,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Labels":
        """Read what to_bytes wrote; raises CorruptArtifact."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                frames = tuple(str(name) for name in arrays["frames"])
                return cls(frames, arrays["joints_image"], arrays["visibility"])
        except (ValueError, KeyError, OSError) as error:
            raise CorruptArtifact("The labels of this capture cannot be read.") from error


def load_labelled(
    rig: Rig,
    capture: CaptureRow,
    artifacts: ArtifactStore,
    backbone: Callable[[], Backbone],
    settings: Settings,
) -> LabelledFrames:
    """The labelled frames of ``capture`` with their heatmaps; ``backbone`` is only called for images."""
    labels = Labels.from_bytes(artifacts.read(capture.labels_sha256))
    path = artifacts.path(capture.source_sha256)
    source = reopen_frames(capture.kind, path, rig, settings, settings.max_capture_frames)
    heatmaps = read_heatmaps(source, rig, backbone, wanted=labels.frames)
    return LabelledFrames(labels.frames, heatmaps, labels_to_view(rig, labels.joints_image), labels.visibility)

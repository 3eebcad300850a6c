"""One test of the demonstration: a rig to register, a capture to learn from, and frames to be judged on."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.demo.evaluate import Truth
from models.rig import Rig

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Upload:
    """A file to send: a zip of images, or an npz of heatmaps."""

    path: Path
    images: bool

    @property
    def frames(self) -> Path | None:
        """The path, where it is a zip of images."""
        return self.path if self.images else None

    @property
    def heatmaps(self) -> Path | None:
        """The path, where it is an npz of heatmaps."""
        return None if self.images else self.path

    def subset(self, names: Sequence[str], path: Path) -> "Upload":
        """The same kind of file with some of the frames."""
        if self.images:
            with zipfile.ZipFile(self.path) as source, zipfile.ZipFile(path, "w") as target:
                for info in source.infolist():
                    if info.filename.split("/")[0] in names:
                        target.writestr(info, source.read(info))
        else:
            with np.load(self.path) as source:
                frames = source["frames"].tolist()
                index = [frames.index(name) for name in names]
                save_heatmaps(path, source["heatmaps"][index], names, source["cameras"].tolist())
        return Upload(path, self.images)

    def image(self, frame: str, camera: str) -> RGB | None:
        """A camera's image (RGB) of a frame; None where only heatmaps are sent."""
        if not self.images:
            return None
        with zipfile.ZipFile(self.path) as archive:
            data = np.frombuffer(archive.read(f"{frame}/{camera}.jpg"), np.uint8)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        return None if decoded is None else np.asarray(decoded, np.uint8)


def save_heatmaps(
    path: Path, heatmaps: NDArray[np.floating[Any]], frames: Sequence[str], cameras: Sequence[str]
) -> None:
    """Write heatmaps [F, V, J, 64, 64] as the contract's npz."""
    np.savez(path, heatmaps=heatmaps.astype(np.float16), frames=np.array(frames), cameras=np.array(cameras))


@dataclass(frozen=True)
class Scene:
    """What is sent to the service, and what its answers are judged by.

    ``title``, ``about``, ``truth_name`` and ``truth_source`` are words for people.
    """

    name: str
    title: str
    about: str
    rig: Rig
    labels: Mapping[str, Any]
    capture: Upload
    test: Upload
    truth: Truth
    frames_per_second: float
    truth_name: str
    truth_source: str

    @property
    def cameras(self) -> tuple[str, ...]:
        """The ids of the cameras, in order."""
        return tuple(camera.id for camera in self.rig.cameras)

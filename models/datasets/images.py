"""The images of a recording: files in folders or videos, frame by frame and camera by camera."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.files import fault
from models.rig import Camera

Image = NDArray[np.uint8]


class ImageSource(Protocol):
    """Where images come from."""

    def read(self, camera: Camera, frames: Sequence[int]) -> Iterator[Image | None]:
        """RGB images [height, width, 3] of rising frame numbers; None where there is no image of a frame.

        Raises DatasetError for a file that is no image, or of another size than the calibration's.
        """
        ...


@dataclass(frozen=True)
class FolderImages:
    """One file a frame: ``path(camera id, frame)``."""

    path: Callable[[str, int], Path]

    def read(self, camera: Camera, frames: Sequence[int]) -> Iterator[Image | None]:
        """See ImageSource."""
        for frame in frames:
            file = self.path(camera.id, frame)
            yield _decoded(file, camera) if file.is_file() else None


@dataclass(frozen=True)
class VideoImages:
    """One video a camera: ``path(camera id)``; its first image is frame 0."""

    path: Callable[[str], Path]

    def read(self, camera: Camera, frames: Sequence[int]) -> Iterator[Image | None]:
        """See ImageSource. Frames are counted while decoding: seeking is off by frames in many codecs."""
        file = self.path(camera.id)
        video = cv2.VideoCapture(str(file)) if file.is_file() else None
        if video is None or not video.isOpened():
            raise fault(file, "", "is missing or no video that OpenCV can decode.")
        try:
            position, ended = 0, False
            for frame in frames:
                while position <= frame and not ended:
                    ended = not video.grab()
                    position += 1
                image = None if ended else video.retrieve()[1]
                yield None if image is None else _checked(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), file, camera)
        finally:
            video.release()


def _decoded(file: Path, camera: Camera) -> Image:
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise fault(file, "", f"cannot be read: {error.strerror}.") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    if image is None:
        raise fault(file, "", "is no image that OpenCV can decode.")
    return _checked(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), file, camera)


def _checked(image: object, file: Path, camera: Camera) -> Image:
    found = np.asarray(image, np.uint8)
    if found.shape[:2] != (camera.height, camera.width):
        size = f"{found.shape[1]}×{found.shape[0]}"
        raise fault(file, "", f"has images of {size}; the calibration is of {camera.width}×{camera.height}.")
    return found

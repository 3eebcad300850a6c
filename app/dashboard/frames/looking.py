"""One frame as its cameras show it: their windows as pictures, and the heatmaps that were found in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from app.framesets import FrameFile
from app.heatmap_files import HeatmapFile
from app.image_files import FrameImages, ImageFile
from models.backbone import Backbone, check_skeleton
from models.crops import follow
from models.cutting import ViewCutter, cut_window
from models.errors import InvalidInput, InvalidOptions
from models.heatmap import HEATMAP_SIZE
from models.rig import Rig
from models.runtime import Engine
from models.views import View

PICTURE_SIZE = 8 * HEATMAP_SIZE
_QUALITY = 85


@dataclass(frozen=True)
class Looked:
    """``views`` [V], ``heatmaps`` [V, J, 64, 64] before any fusion, and ``pictures`` [V] as JPEG, none of heatmaps."""

    views: tuple[View, ...]
    heatmaps: NDArray[np.float32]
    pictures: tuple[bytes, ...]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.heatmaps.nbytes + sum(map(len, self.pictures))


def only(file: FrameFile, index: int) -> FrameFile:
    """The file as if it held this frame alone; for images it may be read so too."""
    frames = file.frames[index : index + 1]
    if isinstance(file, ImageFile):
        return replace(file, frames=frames, entries=file.entries[index : index + 1])
    return replace(file, frames=frames)


def look_at_heatmaps(file: HeatmapFile, rig: Rig, index: int) -> Looked:
    """A frame that came as heatmaps, which are seen through the rig's views."""
    return Looked(rig.views, file.part(index, 1)[0].astype(np.float32), ())


def look_at_images(
    file: ImageFile, rig: Rig, index: int, *, backbone: Backbone, cutter: ViewCutter, following: Engine | None
) -> Looked:
    """A frame that came as images, through the rig's views, or around the person whom an engine follows."""
    check_skeleton(rig, backbone)
    (images,) = _at_once(only(file, index), rig)
    eyes = _Eyes(images, backbone, cutter)
    if following is None:
        eyes.see(rig.views)
    else:
        follow(following, eyes.see, keep=False)
    cameras = zip(rig.cameras, eyes.views, strict=True)
    pictures = (_jpeg(cut_window(camera, images[v], view, PICTURE_SIZE)) for v, (camera, view) in enumerate(cameras))
    return Looked(eyes.views, eyes.heatmaps, tuple(pictures))


def check_look(file: FrameFile, engine: Engine) -> None:
    """Raise where the frames cannot be looked at around the person."""
    if not isinstance(file, ImageFile):
        raise InvalidInput("Heatmaps are seen through the rig's views: ask for view=rig.", at="query.view")
    if not engine.follows:
        raise InvalidOptions("The checkpoint has dense weights and cannot follow: ask for view=rig.", at="query.view")


class _Eyes:
    """What sees a frame's images through any views, and remembers through which it saw them last."""

    def __init__(self, images: Sequence[NDArray[np.uint8]], backbone: Backbone, cutter: ViewCutter) -> None:
        self._images, self._backbone, self._cutter = images, backbone, cutter
        self.views: tuple[View, ...] = ()
        self.heatmaps = np.empty(0, np.float32)

    def see(self, views: Sequence[View]) -> NDArray[np.float32]:
        cut = np.stack([self._cutter.cut(v, self._images[v], view) for v, view in enumerate(views)])
        self.views, self.heatmaps = tuple(views), self._backbone.heatmaps(cut)
        return self.heatmaps


def _at_once(file: FrameFile, rig: Rig) -> list[list[NDArray[np.uint8]]]:
    read: Callable[[FrameImages], list[NDArray[np.uint8]]] = lambda frame: [frame[v] for v in range(len(rig.cameras))]  # noqa: E731
    return [read(frame) for frame in file.each_frame(rig)] if isinstance(file, ImageFile) else []


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()

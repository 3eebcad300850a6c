"""Cutting a camera's view out of its raw image: one remap that undistorts, crops and turns."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidImage
from models.geometry import INPUT_SIZE, coarse_view_maps, view_maps
from models.rig import Camera, Rig, View

_OUTSIDE: Final = -1e4  # where the distortion has no answer, no image is
_SPARE: Final = 32  # pixels around the part of an image that is cut out, so that its border is no border of the view

Images = NDArray[np.uint8]
Maps = NDArray[np.float32]


class ViewCutter:
    """Cuts each camera's view out of its raw image; the maps of a rig are made once and kept."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._cuts = [_Cut.of(camera, view) for camera, view in zip(rig.cameras, rig.views, strict=True)]

    @property
    def nbytes(self) -> int:
        """Memory of the maps."""
        return sum(cut.map_x.nbytes + cut.map_y.nbytes for cut in self._cuts)

    def cut(self, camera_index: int, image: Images, view: View | None = None) -> Images:
        """Raw image uint8 RGB [height,width,3] → undistorted view [256,256,3], black outside the image.

        The camera's view of the rig, or another ``view``, for which the maps are made for this once.
        """
        camera = self._rig.cameras[camera_index]
        if image.dtype != np.uint8 or image.shape != (camera.height, camera.width, 3):
            raise InvalidImage(
                f"Camera {camera.id} gives uint8 RGB images of {camera.width}×{camera.height}; "
                f"this one is {image.dtype} {list(image.shape)} (height, width, channels).",
                at=camera.id,
            )
        if view is None or view is self._rig.views[camera_index]:
            return self._cuts[camera_index].apply(image)
        return _Cut.once(camera, view).apply(image)


def cut_window(camera: Camera, image: Images, view: View, size: int) -> Images:
    """The part of a raw image that a view's heatmaps cover, undistorted, to be looked at: uint8 RGB [size, size, 3].

    ``size`` is a multiple of the heatmaps', so that a heatmap stretched over it lies exactly where it belongs.
    """
    return _Cut.once(camera, view, size).apply(image)


@dataclass(frozen=True)
class _Cut:
    """An area reduction of the image's part ``x, y, width, height`` to ``size`` (width, height), then one remap.

    Sampling a 4K image at 256×256 points would skip most of its pixels and alias; the reduction first brings the image
    to about the view's own resolution. That costs 2 ms for a whole 1080p image and 6 ms for 4K; the network, 18 ms.
    """

    part: tuple[int, int, int, int]
    size: tuple[int, int]
    map_x: Maps
    map_y: Maps

    @classmethod
    def of(cls, camera: Camera, view: View) -> "_Cut":
        """A cut of the whole image, exact at every pixel, to be used again and again."""
        map_x, map_y = view_maps(camera, view)
        return cls._reduced(map_x, map_y, (0, 0, camera.width, camera.height))

    @classmethod
    def once(cls, camera: Camera, view: View, size: int = INPUT_SIZE) -> "_Cut":
        """The same for one image, 20 times as fast: exact at heatmap pixels and linear between, of the part needed."""
        map_x, map_y = coarse_view_maps(camera, view, size)
        x, width = _extent(map_x, camera.width)
        y, height = _extent(map_y, camera.height)
        return cls._reduced(map_x, map_y, (x, y, width, height))

    @classmethod
    def _reduced(cls, map_x: Maps, map_y: Maps, part: tuple[int, int, int, int]) -> "_Cut":
        x, y, width, height = part
        map_x, map_y = (np.nan_to_num(positions, nan=_OUTSIDE) for positions in (map_x - x, map_y - y))
        factor = max(1, round(_shrink(map_x, map_y)))
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        return cls(
            part=part,
            size=size,
            map_x=((map_x + 0.5) * np.float32(size[0] / width) - 0.5).astype(np.float32),
            map_y=((map_y + 0.5) * np.float32(size[1] / height) - 0.5).astype(np.float32),
        )

    def apply(self, image: Images) -> Images:
        x, y, width, height = self.part
        part = image[y : y + height, x : x + width]
        same = self.size == (width, height)
        reduced = part if same else cv2.resize(part, self.size, interpolation=cv2.INTER_AREA)
        cut = cv2.remap(reduced, self.map_x, self.map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(cut, np.uint8)


def _extent(positions: Maps, size: int) -> tuple[int, int]:
    """Where the image's part that is read begins, and how wide it is, with a little to spare."""
    known = positions[np.isfinite(positions)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    start = int(np.clip(np.floor(low) - _SPARE, 0, size - 1))
    return start, int(np.clip(np.ceil(high) + _SPARE, start + 1, size)) - start


def _shrink(map_x: Maps, map_y: Maps) -> float:
    """Raw image pixels for each pixel of the view, across and down alike, at the view's middle half."""
    middle = slice(len(map_x) // 4, 3 * len(map_x) // 4)
    x, y = map_x[middle, middle], map_y[middle, middle]
    area = np.abs(
        np.diff(x, axis=1)[1:] * np.diff(y, axis=0)[:, 1:] - np.diff(x, axis=0)[:, 1:] * np.diff(y, axis=1)[1:]
    )
    return float(np.sqrt(np.median(area)))

"""Images of a data set → heatmaps in a file of float16, made camera by camera so that memory stays small."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backbone import Backbone, Images
from models.cutting import ViewCutter
from models.datasets.shots import Shot
from models.errors import DatasetError
from models.rig import HEATMAP_SIZE
from models.skeletons import skeleton

_BATCH = 16
_MAX_MISSING = 0.2  # of the frames asked for: more than a video that ends early explains


@dataclass(frozen=True)
class Pick:
    """Frames of one recording: ``index`` [N] into its shot's frames."""

    shot: Shot
    index: NDArray[np.intp]


@dataclass(frozen=True)
class Stored:
    """Heatmaps [F, V, J, 64, 64] of the picks' frames, one after the other; ``whole`` [F]: no image was missing."""

    heatmaps: NDArray[np.float16]
    whole: NDArray[np.bool_]

    def load(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Some frames in memory."""
        return np.asarray(self.heatmaps[rows], np.float32)


def shoot(picks: Sequence[Pick], backbone: Backbone, file: Path, advance: Callable[[int], None]) -> Stored:
    """Run the backbone on every image of the picks; ``advance(n)`` is told of n images more.

    Raises DatasetError where an image is not what its calibration says, or too many are missing.
    """
    count, views = sum(len(pick.index) for pick in picks), len(picks[0].shot.rig.cameras)
    shape = (count, views, len(skeleton(backbone.skeleton).joints), HEATMAP_SIZE, HEATMAP_SIZE)
    heatmaps = np.memmap(file, np.float16, "w+", shape=shape)
    found = np.zeros((count, views), np.bool_)
    start, digest, cutter = 0, "", None
    for pick in picks:
        rows = slice(start, start + len(pick.index))
        if cutter is None or pick.shot.rig.digest != digest:  # most recordings share one calibration
            digest, cutter = pick.shot.rig.digest, ViewCutter(pick.shot.rig)
        for view in range(views):
            found[rows, view] = _camera(pick, view, cutter, backbone, heatmaps[rows, view], advance)
        start = rows.stop
    whole: NDArray[np.bool_] = np.asarray(found.all(1))
    if (~whole).mean() > _MAX_MISSING:
        names = ", ".join(pick.shot.sequence.name for pick in picks[:3])
        raise DatasetError(
            f"{(~whole).sum()} of {count} frames lack an image of a camera (of {names} …): are all images unpacked?",
            at=picks[0].shot.sequence.name,
        )
    return Stored(heatmaps, whole)


def _camera(  # noqa: PLR0917 - one camera of one pick, and what it is run with
    pick: Pick,
    view: int,
    cutter: ViewCutter,
    backbone: Backbone,
    out: NDArray[np.float16],
    advance: Callable[[int], None],
) -> NDArray[np.bool_]:
    """Fill ``out`` [N, J, 64, 64] from one camera's images; returns which frames [N] had one."""
    rig, sequence = pick.shot.rig, pick.shot.sequence
    frames = [int(frame) for frame in sequence.frames[pick.index]]
    found = np.zeros(len(frames), np.bool_)
    batch: dict[int, Images] = {}
    for row, image in enumerate(sequence.images.read(rig.cameras[view], frames)):
        if image is not None:
            batch[row] = cutter.cut(view, image)
        if len(batch) == _BATCH or (batch and row == len(frames) - 1):
            out[list(batch)] = backbone.heatmaps(np.stack(list(batch.values())))
            found[list(batch)] = True
            batch = {}
        advance(1)
    return found

"""Serving poses: make heatmaps of the frames, fuse, triangulate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.framesets import HEATMAP_BYTES, FrameFile
from app.image_files import FrameImages, ImageFile
from app.poses.engines import Fusion
from app.poses.schemas import Answer, Look
from app.poses.serving import Serving
from app.poses.stages import Stages
from app.poses.tally import Agreement
from models.backbone import Backbone, check_skeleton
from models.crops import See, follow
from models.errors import InvalidInput, InvalidOptions
from models.heatmap import HEATMAP_SIZE
from models.rig import Rig
from models.runtime import Engine, Poses
from models.views import View

_AT = "query.view"
_IMAGE_BYTES = 512 << 20  # most that a frame's images take, whatever their size: larger ones are not kept
_CHUNK, _COPIES, _PAIR_BYTES = 8, 10, 1_500_000  # what an engine takes besides, as measured with tracemalloc


@dataclass(frozen=True)
class Asked:
    """How a request wants its frames served."""

    answer: Answer
    triangulation: str
    look: Look


@dataclass(frozen=True)
class Served:
    """The frames in the order they came, their poses, and how each was looked at: ``rig`` or ``person``."""

    frames: tuple[str, ...]
    poses: Poses
    looks: tuple[Look, ...]

    @property
    def look(self) -> Look:
        """``person`` where at least one frame was looked at so."""
        return Look.PERSON if Look.PERSON in self.looks else Look.RIG

    @property
    def agreement(self) -> Agreement | None:
        """How well the views agree upon the joints in space; None where there are none."""
        known = np.isfinite(self.poses.reprojection_px)
        if not known.any():
            return None
        return Agreement(
            float(np.median(self.poses.reprojection_px[known])), float(np.mean(self.poses.views_used[known]))
        )


def check_look(source: FrameFile, look: Look) -> None:
    """Raise InvalidInput where the frames cannot be looked at so."""
    if look is Look.PERSON and not isinstance(source, ImageFile):
        raise InvalidInput(
            "view=person cuts the person out of images, and heatmaps are seen through the rig's fixed views already: "
            "send frames, or ask for view=rig.",
            at=_AT,
            code="images_needed",
        )


def footprint(source: FrameFile, rig: Rig, answer: Answer) -> int:
    """Memory that serving these frames takes, at most.

    Their heatmaps as they come, and fused where they are sent; some copies of those that are computed at a time, and
    the weights that they need; a frame's images.
    """
    frame, count = len(rig.cameras) * len(rig.skeleton.joints) * HEATMAP_BYTES, len(source.frames)
    kept = (2.5 if answer is Answer.HEATMAPS else 1.5) * count * frame
    work = _COPIES * min(count, _CHUNK) * frame + _PAIR_BYTES * len(rig.pairs)
    pixels = sum(3 * camera.width * camera.height for camera in rig.cameras) if isinstance(source, ImageFile) else 0
    return int(kept + work) + min(pixels, _IMAGE_BYTES)


def serve(
    source: FrameFile,
    rig: Rig,
    fusion: Fusion,
    asked: Asked,
    *,
    serving: Serving,
    backbone: Callable[[], Backbone],
    stages: Stages,
) -> Served:
    """The poses of checked frames; raises InvalidInput with the place of what only decoding finds wrong."""
    engine, keep = serving.engines.get(rig, fusion), asked.answer is Answer.HEATMAPS
    stages.ended("load")
    if not isinstance(source, ImageFile):
        heatmaps = source.load()
        stages.ended("decode")
    elif _follows(engine, asked):
        with serving.batcher.turn():
            stages.ended("wait")
            poses = _at_person(
                _eyes(source, rig, serving, backbone(), stages), engine, asked.triangulation, keep, stages
            )
        return Served(source.frames, poses, _looks(rig, poses))
    else:
        with serving.batcher.turn():
            stages.ended("wait")
            heatmaps = _through_fixed_views(_eyes(source, rig, serving, backbone(), stages), rig, len(source.frames))
    poses = serving.batcher.poses(engine, heatmaps, asked.triangulation, keep=keep, stages=stages)
    return Served(source.frames, poses, (Look.RIG,) * len(source.frames))


def _follows(engine: Engine, asked: Asked) -> bool:
    """Whether to look at the person, where images came.

    Left to the service, it does so wherever it can, but for heatmaps, which clients expect in the rig's views.
    """
    if asked.look is Look.PERSON and not engine.follows:
        raise InvalidOptions(
            "The checkpoint has dense weights, which belong to the pixels of the rig's fixed views and cannot follow "
            "a person: ask for view=rig.",
            at=_AT,
        )
    wanted = asked.look is Look.PERSON or (asked.look is Look.AUTO and asked.answer is Answer.POSES)
    return wanted and engine.follows


def _eyes(file: ImageFile, rig: Rig, serving: Serving, backbone: Backbone, stages: Stages) -> Iterator[See]:
    """For frame after frame, what sees its images through any views."""
    check_skeleton(rig, backbone)
    cutter = serving.engines.cutter(rig)

    def eyes(images: FrameImages) -> See:
        def see(views: Sequence[View]) -> NDArray[np.float32]:
            with stages.timed("decode"):
                cut = np.stack([cutter.cut(v, images[v], view) for v, view in enumerate(views)])
            with stages.timed("backbone"):
                heatmaps = backbone.heatmaps(cut)
            stages.resume()
            return heatmaps

        return see

    return map(eyes, file.each_frame(rig))


def _at_person(eyes: Iterator[See], engine: Engine, triangulation: str, keep: bool, stages: Stages) -> Poses:
    return Poses.joined([follow(engine, see, triangulation, keep=keep, told=stages.ended) for see in eyes])


def _through_fixed_views(eyes: Iterator[See], rig: Rig, frames: int) -> NDArray[np.float32]:
    shape = (len(rig.cameras), len(rig.skeleton.joints), HEATMAP_SIZE, HEATMAP_SIZE)
    heatmaps = np.empty((frames, *shape), np.float32)
    for index, see in enumerate(eyes):
        heatmaps[index] = see(rig.views)
    return heatmaps


def _looks(rig: Rig, poses: Poses) -> tuple[Look, ...]:
    """How each frame was looked at in the end: where nobody is found, through the fixed views."""
    fixed = np.stack([view.K for view in rig.views])
    return tuple(Look.PERSON if moved else Look.RIG for moved in (poses.view != fixed).any((1, 2, 3)))

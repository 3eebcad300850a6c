"""Serving poses: check the frames, make heatmaps, fuse, triangulate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.framesets import check_frames, read_heatmaps
from app.image_files import FrameImages, ImageFile
from app.poses.engines import Engines, Fusion
from app.poses.schemas import Answer, Look
from app.settings import Settings
from app.uploads import Upload
from models.backbone import Backbone, check_skeleton
from models.crops import See, follow
from models.cutting import ViewCutter
from models.errors import InvalidInput, InvalidOptions
from models.rig import Rig
from models.runtime import Engine, Poses
from models.views import View

_AT = "query.view"


@dataclass(frozen=True)
class Asked:
    """How a request wants its frames served."""

    answer: Answer
    triangulation: str
    look: Look


@dataclass(frozen=True)
class Served:
    """The frames in the order they came, their poses, and how they were looked at: ``rig`` or ``person``."""

    frames: tuple[str, ...]
    poses: Poses
    look: Look


def serve(
    upload: Upload,
    rig: Rig,
    fusion: Fusion,
    asked: Asked,
    *,
    engines: Engines,
    backbone: Callable[[], Backbone],
    settings: Settings,
) -> Served:
    """Answer the poses of an upload; raises InvalidInput with the place of the fault."""
    source = check_frames(upload, rig, settings, settings.max_pose_frames)
    if asked.look is Look.PERSON and not isinstance(source, ImageFile):
        raise InvalidInput(
            "view=person cuts the person out of images, and heatmaps are seen through the rig's fixed views already: "
            "send frames, or ask for view=rig.",
            at=_AT,
            code="images_needed",
        )
    engine = engines.get(rig, fusion)
    if isinstance(source, ImageFile) and _follows(engine, asked):
        poses = _at_person(source, engine, engines.cutter(rig), backbone(), asked.triangulation)
        return Served(source.frames, poses, Look.PERSON)
    cutter = engines.cutter(rig) if isinstance(source, ImageFile) else None
    heatmaps = read_heatmaps(source, rig, backbone, cutter)
    return Served(source.frames, engine.poses(heatmaps, triangulation=asked.triangulation), Look.RIG)


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


def _at_person(file: ImageFile, engine: Engine, cutter: ViewCutter, backbone: Backbone, triangulation: str) -> Poses:
    check_skeleton(engine.rig, backbone)

    def eyes(images: FrameImages) -> See:
        def see(views: Sequence[View]) -> NDArray[np.float32]:
            return backbone.heatmaps(np.stack([cutter.cut(v, images[v], view) for v, view in enumerate(views)]))

        return see

    return Poses.joined([follow(engine, eyes(images), triangulation) for images in file.each_frame(engine.rig)])

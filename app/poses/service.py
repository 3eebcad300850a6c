"""Serving poses: check the frames, make heatmaps, fuse, triangulate."""

from collections.abc import Callable
from dataclasses import dataclass

from app.framesets import check_frames, read_heatmaps
from app.image_files import ImageFile
from app.poses.engines import Engines, Fusion
from app.settings import Settings
from app.uploads import Upload
from models.backbone import Backbone
from models.rig import Rig
from models.runtime import Poses


@dataclass(frozen=True)
class Served:
    """The frames in the order they came, and their poses."""

    frames: tuple[str, ...]
    poses: Poses


def serve(
    upload: Upload,
    rig: Rig,
    fusion: Fusion,
    triangulation: str,
    *,
    engines: Engines,
    backbone: Callable[[], Backbone],
    settings: Settings,
) -> Served:
    """Answer the poses of an upload; raises InvalidInput with the place of the fault."""
    source = check_frames(upload, rig, settings, settings.max_pose_frames)
    engine = engines.get(rig, fusion)
    cutter = engines.cutter(rig) if isinstance(source, ImageFile) else None
    heatmaps = read_heatmaps(source, rig, backbone, cutter)
    return Served(source.frames, engine.poses(heatmaps, triangulation=triangulation))

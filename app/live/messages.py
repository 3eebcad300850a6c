"""What goes over the wire: a frame as one binary message, its poses or a problem as one JSON message."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.archives import ArchiveLimits, open_archive
from app.disks import told_when_full
from app.errors import http_status
from app.framesets import FrameFile
from app.heatmap_files import check_heatmaps
from app.image_files import check_images
from app.problems import problem
from app.settings import Settings
from models.errors import InvalidInput, RigFuseError
from models.rig import Rig

_AT = "frame"
_HEATMAPS = "heatmaps.npy"
_ENTRIES = 1000


@dataclass(frozen=True)
class Frame:
    """A message as it came, the ``sequence``-th of its stream, at a moment of the monotonic clock; text has no data."""

    sequence: int
    data: bytes | None
    came_at: float


def check_frame(frame: Frame, folder: Path, rig: Rig, settings: Settings) -> FrameFile:
    """Check a message as a POST's file is checked: an npz of heatmaps, or a zip of one image a camera.

    Raises InvalidInput that names what is wrong.
    """
    if not frame.data:
        detail = "Send every frame as one binary message: an npz of heatmaps, or a zip of images <camera>.jpg or .png."
        raise InvalidInput(detail, at=_AT, code="binary_needed")
    path = folder / _AT
    with told_when_full():
        path.write_bytes(frame.data)
    folder.touch()  # or it would look abandoned while a stream goes on for days
    name = str(frame.sequence)
    with open_archive(path, _AT, ArchiveLimits(_ENTRIES, settings.max_unpacked_bytes)) as archive:
        is_npz = any(info.filename == _HEATMAPS for info in archive.files)
    check = check_heatmaps if is_npz else check_images
    return check(path, rig, settings, 1, only=name)


def problem_message(frame: Frame, dropped: int, error: RigFuseError) -> dict[str, Any]:
    """Why there are no poses of a frame; the stream goes on."""
    told = problem(http_status(error), error.code, error.message, at=error.at)
    return {"sequence": frame.sequence, "dropped": dropped, "problem": told.model_dump(exclude_none=True)}

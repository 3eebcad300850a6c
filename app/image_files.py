"""Synchronised images as a zip of ``<frame>/<camera>.jpg|png``: complete for every frame, checked one by one."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.archives import Archive, ArchiveLimits, open_archive
from app.errors import UploadTooLarge
from app.images import decode_image
from app.settings import Settings
from models.errors import InvalidImage
from models.rig import Camera, Rig

PART = "frames"
MAX_IMAGE_BYTES = 256 << 20
_ENTRY = re.compile(r"(?:\./)?(?:(?P<frame>[^/]{1,128})/)?(?P<camera>[^/]+)\.(?:jpe?g|png)", re.IGNORECASE)
_ALLOWED_EXTRAS = 200  # what file managers leave in archives
_KEPT_BYTES = 512 << 20


@dataclass(frozen=True)
class ImageFile:
    """A checked zip: the frames' names and, per frame, each camera's entry in the rig's order."""

    path: Path
    frames: tuple[str, ...]
    entries: tuple[tuple[str, ...], ...]
    limits: ArchiveLimits
    max_pixels: int

    def each_frame(self, rig: Rig) -> Iterator["FrameImages"]:
        """The images of frame after frame, to be looked at while the next frame has not been asked for."""
        with open_archive(self.path, PART, self.limits) as archive:
            infos = {info.filename: info for info in archive.files}
            for entries in self.entries:
                yield FrameImages(archive, [infos[entry] for entry in entries], rig.cameras, self.max_pixels)

    def images(self, rig: Rig, only: frozenset[str] | None = None) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """Decode image after image: (frame index, camera index, RGB uint8 [h, w, 3]), of the frames ``only``.

        Raises InvalidImage that names the entry at fault.
        """
        with open_archive(self.path, PART, self.limits) as archive:
            infos = {info.filename: info for info in archive.files}
            for frame, entries in enumerate(self.entries):
                if only is not None and self.frames[frame] not in only:
                    continue
                for camera, entry in enumerate(entries):
                    data = archive.read(infos[entry])
                    yield frame, camera, decode_image(data, rig.cameras[camera], entry, self.max_pixels)


class FrameImages:
    """The images of one frame, decoded when asked for, and kept for the next time where all of them are not too large.

    Raises InvalidImage that names the entry at fault.
    """

    def __init__(
        self, archive: Archive, infos: Sequence[zipfile.ZipInfo], cameras: Sequence[Camera], max_pixels: int
    ) -> None:
        self._archive, self._infos, self._cameras, self._max_pixels = archive, infos, cameras, max_pixels
        self._keep = 3 * sum(camera.width * camera.height for camera in cameras) <= _KEPT_BYTES
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def __getitem__(self, camera: int) -> NDArray[np.uint8]:
        """RGB uint8 [h, w, 3] of a camera, by its place in the rig."""
        if camera in self._kept:
            return self._kept[camera]
        info = self._infos[camera]
        image = decode_image(self._archive.read(info), self._cameras[camera], info.filename, self._max_pixels)
        if self._keep:
            self._kept[camera] = image
        return image


def check_images(path: Path, rig: Rig, settings: Settings, max_frames: int, *, only: str | None = None) -> ImageFile:
    """Check the zip's directory against the rig; the images themselves are checked as they are decoded.

    With ``only`` the images may lie beside each other, without a folder, and are that one frame's.
    """
    limits = ArchiveLimits(
        entries=max_frames * (len(rig.cameras) + 1) * 2 + _ALLOWED_EXTRAS,
        unpacked_bytes=settings.max_unpacked_bytes,
        ratio=settings.max_compression_ratio,
    )
    with open_archive(path, PART, limits) as archive:
        found = _sort_entries(archive, rig, only)
    if not found:
        raise InvalidImage("The zip holds no images; they are to be called <frame>/<camera>.jpg or .png.", at=PART)
    if len(found) > max_frames:
        raise UploadTooLarge(
            f"{len(found)} frames came; at most {max_frames} are taken in one request for this rig.",
            at=PART,
            code="too_many_frames",
        )
    entries = tuple(_complete(frame, cameras, rig) for frame, cameras in found.items())
    return ImageFile(path, tuple(found), entries, limits, settings.max_image_pixels)


def _sort_entries(archive: Archive, rig: Rig, only: str | None) -> dict[str, dict[str, str]]:
    known = {camera.id for camera in rig.cameras}
    found: dict[str, dict[str, str]] = {}
    for info in archive.files:
        if _left_by_file_manager(info.filename):
            continue
        frame, camera = _read_name(info, known, only)
        cameras = found.setdefault(frame, {})
        if camera in cameras:
            raise InvalidImage(
                f"Frame {frame!r} has two images of camera {camera!r}.", at=info.filename, code="duplicate_entry"
            )
        cameras[camera] = info.filename
    return found


def _left_by_file_manager(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in {".DS_Store", "Thumbs.db", "desktop.ini"}


def _read_name(info: zipfile.ZipInfo, known: set[str], only: str | None) -> tuple[str, str]:
    name = info.filename
    match = _ENTRY.fullmatch(name)
    frame = (match["frame"] or only) if match else None
    if match is None or frame is None:
        raise InvalidImage(
            f"The entry {name!r} is not called <frame>/<camera>.jpg or .png.", at=name, code="invalid_entry"
        )
    if match["camera"] not in known:
        raise InvalidImage(
            f"The entry {name!r} is of a camera that this rig does not have. It has {', '.join(sorted(known))}.",
            at=name,
            code="unknown_camera",
        )
    if info.file_size > MAX_IMAGE_BYTES:
        raise UploadTooLarge(f"The image {name!r} is larger than {MAX_IMAGE_BYTES:,} bytes.", at=name)
    return frame, match["camera"]


def _complete(frame: str, cameras: dict[str, str], rig: Rig) -> tuple[str, ...]:
    missing = [camera.id for camera in rig.cameras if camera.id not in cameras]
    if missing:
        raise InvalidImage(
            f"Frame {frame!r} has no image of {', '.join(missing)}; every camera of the rig is needed.",
            at=f"{PART}:{frame}",
            code="missing_camera",
        )
    return tuple(cameras[camera.id] for camera in rig.cameras)

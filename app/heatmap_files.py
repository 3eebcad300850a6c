"""Precomputed heatmaps as an npz: headers are checked before data are read, and nothing is ever unpickled."""

import io
import math
import sys
import tokenize
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from app.archives import Archive, ArchiveLimits, open_archive
from app.errors import UploadTooLarge
from app.settings import Settings
from models.errors import InvalidHeatmaps
from models.heatmap import HEATMAP_SIZE
from models.rig import Rig

PART = "heatmaps"
LARGEST_VALUE = 1000.0
MAX_FRAME_NAME = 128
_MAX_MEMBERS = 16
_DIMENSIONS = 5  # frames, cameras, joints, rows, columns
_MAX_CAMERAS = 256  # more than any rig has, so that a camera too many is told by its name
_MAX_HEADER = 4096
_CHUNK_BYTES = 8 << 20
# The header is a Python literal, and NumPy lets through whatever reading a damaged one raises.
_BROKEN_HEADER = (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError)
_MAX_NAMES_BYTES = 8 << 20


@dataclass(frozen=True)
class _Header:
    """What a .npy member says of itself; ``at`` is its place in messages."""

    at: str
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class HeatmapFile:
    """A checked npz: the frames' names, and for each of the rig's cameras its place in the file."""

    path: Path
    frames: tuple[str, ...]
    camera_order: tuple[int, ...]
    limits: ArchiveLimits

    def load(self, wanted: tuple[str, ...] | None = None) -> NDArray[np.float32]:
        """The heatmaps float32 [F, V, J, 64, 64] of the frames ``wanted``, default all, in the rig's camera order."""
        with open_archive(self.path, PART, self.limits) as archive, _member(archive, PART) as (handle, header):
            flat = np.frombuffer(_read_exactly(handle, header.nbytes), header.dtype)
        array = flat.reshape(header.shape[::-1]).T if header.fortran else flat.reshape(header.shape)
        array = array if array.ndim == _DIMENSIONS else array[None]
        place = {name: index for index, name in enumerate(self.frames)}
        frames = tuple(place[name] for name in (self.frames if wanted is None else wanted))
        if (frames, self.camera_order) != (tuple(range(len(array))), tuple(range(array.shape[1]))):
            array = array[np.ix_(frames, self.camera_order)]  # one copy, of what is wanted
        return np.ascontiguousarray(array, dtype=np.float32)

    def part(self, start: int, count: int) -> NDArray[np.floating]:
        """So many frames from ``start`` on, as they came [count, V, J, 64, 64]; nothing that lies behind is read."""
        with open_archive(self.path, PART, self.limits) as archive, _member(archive, PART) as (handle, header):
            if not header.fortran:
                size, count = header.nbytes // len(self.frames), min(count, len(self.frames) - start)
                handle.seek(start * size, io.SEEK_CUR)
                flat = np.frombuffer(_read_exactly(handle, count * size), header.dtype)
                return flat.reshape(count, *header.shape[-_DIMENSIONS + 1 :])[:, list(self.camera_order)]
        return self.load(self.frames[start : start + count])


def check_heatmaps(
    path: Path, rig: Rig, settings: Settings, max_frames: int, *, only: str | None = None
) -> HeatmapFile:
    """Check the npz at ``path`` against the rig, reading its values in bounded memory.

    With ``only`` it may be that one frame alone, without the arrays' first axis and without ``frames``. Raises
    InvalidHeatmaps (or another InvalidInput) that names the array at fault.
    """
    limits = ArchiveLimits(_MAX_MEMBERS, settings.max_unpacked_bytes)
    with open_archive(path, PART, limits) as archive:
        named = only is None or any(info.filename == "frames.npy" for info in archive.files)
        frames = _names(archive, "frames", max_frames) if named else (only or "",)
        order = _camera_order(rig, _names(archive, "cameras", _MAX_CAMERAS))
        with _member(archive, PART) as (handle, header):
            _check_shape(header, rig, len(frames), alone=only is not None)
            _check_values(handle, header)
    return HeatmapFile(path, frames, order, limits)


@contextmanager
def _member(archive: Archive, name: str) -> Iterator[tuple[IO[bytes], _Header]]:
    """Open one array of the archive, positioned after its header."""
    found = [info for info in archive.files if info.filename == f"{name}.npy"]
    if not found:
        listed = ", ".join(sorted(Path(info.filename).stem for info in archive.files)) or "none"
        raise InvalidHeatmaps(f"The npz has no array {name!r}; it has {listed}.", at=f"heatmaps.{name}")
    with archive.open(found[0]) as handle:
        yield handle, _read_header(handle, f"heatmaps.{name}", found[0])


def _read_header(handle: IO[bytes], at: str, info: zipfile.ZipInfo) -> _Header:
    try:
        version = npy.read_magic(handle)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(handle, max_header_size=_MAX_HEADER)
    except _BROKEN_HEADER as error:
        raise InvalidHeatmaps(f"{info.filename!r} has no readable .npy header.", at=at) from error
    header = _Header(at, shape, fortran, dtype)
    if dtype.hasobject:
        raise InvalidHeatmaps(
            f"{info.filename!r} holds Python objects, which are never read. "
            "Save plain numbers, and names as np.array([...], dtype='U').",
            at=at,
            code="pickled_npz",
        )
    if handle.tell() + header.nbytes != info.file_size:
        raise InvalidHeatmaps(f"{info.filename!r} is not as long as its header says.", at=at)
    return header


def _read_exactly(handle: IO[bytes], count: int) -> bytes:
    # A directory may promise more than the member holds: its data end early then, with the right checksum.
    data = handle.read(count)
    if len(data) != count:
        raise InvalidHeatmaps("An array of the npz ends before all of its values have come.", at=PART)
    return data


def _names(archive: Archive, name: str, limit: int) -> tuple[str, ...]:
    with _member(archive, name) as (handle, header):
        if header.dtype.kind not in "US" or len(header.shape) != 1:
            raise InvalidHeatmaps(
                f"{name!r} must be a one-dimensional array of strings; it is {header.dtype} {header.shape}.",
                at=header.at,
            )
        if header.shape[0] > limit:
            raise UploadTooLarge(
                f"{header.shape[0]} {name} came; at most {limit} are taken in one request for this rig.",
                at=header.at,
                code=f"too_many_{name}",
            )
        if header.nbytes > _MAX_NAMES_BYTES:
            raise UploadTooLarge(f"{name!r} holds too many or too long names.", at=header.at)
        try:
            names = _decode_names(_read_exactly(handle, header.nbytes), header.dtype)
        except UnicodeDecodeError as error:
            raise InvalidHeatmaps(f"{name!r} holds a name that is not Unicode text.", at=header.at) from error
    _check_names(names, name, header)
    return names


def _decode_names(data: bytes, dtype: np.dtype[np.generic]) -> tuple[str, ...]:
    # NumPy itself trusts the code points of a unicode array, and fails hard on those that cannot be.
    swapped = dtype.byteorder == ">" or (dtype.byteorder == "=" and sys.byteorder == "big")
    codec = "utf-8" if dtype.kind == "S" else "utf-32-be" if swapped else "utf-32-le"
    size = dtype.itemsize
    return tuple(data[at : at + size].decode(codec).rstrip("\0") for at in range(0, len(data), size or 1))


def _check_names(names: tuple[str, ...], name: str, header: _Header) -> None:
    if not names or len(names) != header.shape[0]:
        raise InvalidHeatmaps(f"{name!r} is empty.", at=header.at)
    seen: set[str] = set()
    for index, text in enumerate(names):
        if not text or len(text) > MAX_FRAME_NAME or not text.isprintable():
            raise InvalidHeatmaps(f"{name}[{index}] is empty, too long or not printable.", at=f"{header.at}[{index}]")
        if text in seen:
            raise InvalidHeatmaps(f"{name!r} has {text!r} twice.", at=header.at)
        seen.add(text)


def _camera_order(rig: Rig, cameras: tuple[str, ...]) -> tuple[int, ...]:
    known = [camera.id for camera in rig.cameras]
    for camera in cameras:
        if camera not in known:
            raise InvalidHeatmaps(
                f"There are heatmaps of camera {camera!r}, which this rig does not have. It has {', '.join(known)}.",
                at="heatmaps.cameras",
                code="unknown_camera",
            )
    missing = [camera for camera in known if camera not in cameras]
    if missing:
        raise InvalidHeatmaps(
            f"There are no heatmaps of {', '.join(missing)}; every camera of the rig is needed.",
            at="heatmaps.cameras",
            code="missing_camera",
        )
    return tuple(cameras.index(camera) for camera in known)


def _check_shape(header: _Header, rig: Rig, frames: int, *, alone: bool) -> None:
    if header.dtype.kind != "f" or header.dtype.itemsize not in (2, 4):
        raise InvalidHeatmaps(f"heatmaps must be float16 or float32; they are {header.dtype}.", at=header.at)
    expected = (frames, len(rig.cameras), len(rig.skeleton.joints), HEATMAP_SIZE, HEATMAP_SIZE)
    if header.shape != expected and not (alone and header.shape == expected[1:]):
        raise InvalidHeatmaps(
            f"heatmaps has shape {header.shape}; {frames} frames, this rig's {expected[1]} cameras "
            f"and the {expected[2]} joints of {rig.joints} need {expected}.",
            at=header.at,
        )


def _check_values(handle: IO[bytes], header: _Header) -> None:
    per_frame = math.prod(header.shape[1:])
    total, chunk = math.prod(header.shape), _CHUNK_BYTES // header.dtype.itemsize
    for start in range(0, total, chunk):
        count = min(chunk, total - start)
        values = np.frombuffer(_read_exactly(handle, count * header.dtype.itemsize), header.dtype)
        # One pass in the common case: a NaN fails this comparison too.
        if not -LARGEST_VALUE <= values.min() <= values.max() <= LARGEST_VALUE:
            bad = int(np.argmin(np.abs(values) <= LARGEST_VALUE))
            where = "" if header.fortran else f" in frame {(start + bad) // per_frame}"
            raise InvalidHeatmaps(
                f"heatmaps holds {values[bad]}{where}: values must be finite, and of the order of 0 to 1.",
                at=header.at,
            )

"""Zip archives from strangers: everything that can be bounded is bounded before anything is unpacked."""

import contextlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import UploadTooLarge
from models.errors import InvalidInput

MAX_ENTRY_NAME = 512
_DIRECTORY_BYTES_PER_ENTRY = 1024
_RATIO_MATTERS_ABOVE = 1 << 20  # small files of one colour compress very well, and harm nobody
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN_MEMBER = (zipfile.BadZipFile, zlib.error, EOFError)
_BROKEN_ARCHIVE = (*_BROKEN_MEMBER, NotImplementedError, OSError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold: entries, unpacked bytes in all, and unpacked over packed bytes."""

    entries: int
    unpacked_bytes: int
    ratio: float | None = None


class Archive:
    """An opened zip whose directory has been checked; members are read whole, up to their declared size."""

    def __init__(self, zipped: zipfile.ZipFile, part: str) -> None:
        self._zip = zipped
        self._part = part
        self.files = [info for info in zipped.infolist() if not info.is_dir()]

    @contextlib.contextmanager
    def open(self, info: zipfile.ZipInfo) -> Iterator[io.BufferedReader]:
        """Open a member; what is wrong with its bytes becomes InvalidInput with the member's name."""
        why = f"its entry {info.filename!r} cannot be unpacked"
        try:
            handle = self._zip.open(info)
        except _BROKEN_ARCHIVE as error:  # a directory may point anywhere
            raise _unreadable(self._part, why) from error
        try:
            with handle:
                yield handle  # type: ignore[misc]
        except _BROKEN_MEMBER as error:
            raise _unreadable(self._part, why) from error

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """All bytes of a member."""
        with self.open(info) as handle:
            return handle.read()


@contextlib.contextmanager
def open_archive(path: Path, part: str, limits: ArchiveLimits) -> Iterator[Archive]:
    """Open the zip at ``path``; raises InvalidInput or UploadTooLarge before anything is unpacked."""
    with _CautiousFile(path, limits.entries * _DIRECTORY_BYTES_PER_ENTRY, part) as raw:
        try:
            zipped = zipfile.ZipFile(raw)
        except _BROKEN_ARCHIVE as error:
            raise _unreadable(part, "it is not a zip file") from error
        raw.trust()
        with zipped:
            _check_directory(zipped.infolist(), part, limits)
            yield Archive(zipped, part)


def _check_directory(entries: list[zipfile.ZipInfo], part: str, limits: ArchiveLimits) -> None:
    if len(entries) > limits.entries:
        raise UploadTooLarge(
            f"The archive has {len(entries)} entries; at most {limits.entries} are taken.",
            at=part,
            code="too_many_entries",
        )
    seen: set[str] = set()
    for info in entries:
        _check_entry(info, part, seen, limits.ratio)
    total = sum(info.file_size for info in entries)
    if total > limits.unpacked_bytes:
        raise _bomb(part, f"it would unpack to {total:,} bytes, more than the {limits.unpacked_bytes:,} taken")


def _check_entry(info: zipfile.ZipInfo, part: str, seen: set[str], ratio: float | None) -> None:
    name = info.filename
    at = f"{part}:{name[:80]}"
    if not name or len(name) > MAX_ENTRY_NAME or not name.isprintable():
        raise InvalidInput("An entry's name is empty, too long or not printable.", at=at, code="invalid_archive")
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        raise InvalidInput(f"The entry {name!r} leaves the archive's own folder.", at=at, code="unsafe_path")
    if name in seen:
        raise InvalidInput(f"The entry {name!r} is there twice.", at=at, code="duplicate_entry")
    seen.add(name)
    if info.flag_bits & 0x1:
        raise InvalidInput(f"The entry {name!r} is encrypted; send it unprotected.", at=at, code="encrypted_archive")
    if info.compress_type not in _METHODS:
        raise InvalidInput(
            f"The entry {name!r} is packed with a method other than deflate.", at=at, code="invalid_archive"
        )
    if ratio and info.file_size > max(_RATIO_MATTERS_ABOVE, ratio * info.compress_size):
        raise _bomb(part, f"its entry {name!r} claims to unpack to {info.file_size:,} bytes", at)


def _bomb(part: str, why: str, at: str | None = None) -> UploadTooLarge:
    return UploadTooLarge(f"The archive is refused unopened: {why}.", at=at or part, code="archive_bomb")


def _unreadable(part: str, why: str) -> InvalidInput:
    return InvalidInput(f"The archive {part!r} cannot be read: {why}.", at=part, code="invalid_archive")


class _CautiousFile(io.BufferedReader):
    """A file that refuses large single reads: zipfile reads a whole central directory at once, however long."""

    def __init__(self, path: Path, limit: int, part: str) -> None:
        self._size = path.stat().st_size
        self._limit = limit + (1 << 17)  # the search for the directory's end reads up to 64 KiB
        self._part = part
        super().__init__(path.open("rb", buffering=0))

    def trust(self) -> None:
        """Lift the limit once the directory has been read."""
        self._limit = self._size

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._size - self.tell() if size is None or size < 0 else min(size, self._size)
        if wanted > self._limit:
            raise UploadTooLarge(
                "The archive's directory has more entries than are taken here.",
                at=self._part,
                code="too_many_entries",
            )
        return super().read(size)

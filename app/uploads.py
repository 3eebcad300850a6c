"""Multipart uploads: streamed part by part into a folder of the request's own, under limits, in bounded memory."""

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from app.disks import time_on, told_when_full
from app.errors import UnsupportedMedia, UploadTooLarge
from app.settings import Settings
from models.errors import InvalidInput

FRAME_PARTS = {
    "frames": "a zip of `<frame>/<camera>.jpg|png`; or else heatmaps",
    "heatmaps": "an npz of heatmaps [F, V, J, 64, 64] float16/float32, frames and cameras",
}
_BUFFER_BYTES = 1 << 20
_ABANDONED_AFTER_S = 24 * 3600
RESUMABLE = "resumable"
"""The folder of uploads that outlive their requests; they have an end of their own."""


@dataclass(frozen=True)
class Upload:
    """The parts that came, each a file; they vanish with the request."""

    folder: Path
    parts: Mapping[str, Path]

    def require(self, name: str, why: str) -> Path:
        """The part called ``name``; raises InvalidInput with ``why`` it is needed."""
        if name not in self.parts:
            raise InvalidInput(f"The part {name!r} is missing: {why}.", at=name, code="missing_part")
        return self.parts[name]

    def one_of(self, *names: str) -> tuple[str, Path]:
        """The one part of ``names`` that came; raises InvalidInput when none or several did."""
        present = [name for name in names if name in self.parts]
        if len(present) == 1:
            return present[0], self.parts[present[0]]
        listed = " or ".join(repr(name) for name in names)
        found = "none came" if not present else "several came"
        code = "missing_part" if not present else "conflicting_parts"
        raise InvalidInput(f"Send exactly one of the parts {listed}: {found}.", at=names[0], code=code)


def multipart_body(parts: Mapping[str, str], required: Sequence[str] = ()) -> dict[str, Any]:
    """How OpenAPI describes an upload of ``parts``, each a file with a sentence that says what it holds."""
    files = {name: {"type": "string", "format": "binary", "description": text} for name, text in parts.items()}
    schema = {"type": "object", "properties": files} | ({"required": list(required)} if required else {})
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@contextlib.asynccontextmanager
async def receive(
    request: Request, settings: Settings, limits: Mapping[str, int], came_before: Mapping[str, Path] | None = None
) -> AsyncIterator[Upload]:
    """Stream the request's parts to disk; ``limits`` are the parts that may come and the bytes each may have.

    Parts that ``came_before``, by resumable uploads, are answered with the others.
    """
    boundary = _boundary(request)
    settings.uploads_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=settings.uploads_dir))
    try:
        receiver = _Receiver(folder, limits)
        try:
            await receiver.run(request, boundary)
        finally:
            receiver.close()
        yield Upload(folder, {**receiver.paths, **(came_before or {})})
    finally:
        await to_thread.run_sync(shutil.rmtree, folder, True)


def write_all(file: FileIO, data: bytes) -> None:
    """Write to an unbuffered file; raises StorageFull where the disk has no room for all of it."""
    with told_when_full():
        written = 0
        while written < len(data):
            written += file.write(data[written:])


def forget_abandoned(settings: Settings, after_s: float = _ABANDONED_AFTER_S) -> None:
    """Remove what a process that was killed left behind; younger folders may belong to another process."""
    now = time_on(settings.uploads_dir)
    for folder in settings.uploads_dir.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if folder.name != RESUMABLE and now - folder.stat().st_mtime > after_s:
                shutil.rmtree(folder, ignore_errors=True)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        sent = kind.decode("latin-1") or "no content type"
        raise UnsupportedMedia(f"Send multipart/form-data; {sent} came.", at="header.content-type")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise InvalidInput("The multipart boundary is missing from the content type.", code="invalid_multipart")
    return boundary


@dataclass
class _Part:
    name: str
    handle: FileIO
    limit: int
    size: int = 0


@dataclass
class _Receiver:
    """python-multipart's callbacks; what they collect is written in a thread, about a megabyte at a time."""

    folder: Path
    limits: Mapping[str, int]
    paths: dict[str, Path] = field(default_factory=dict)
    _part: _Part | None = None
    _header: bytes = b""
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _value: bytes = b""
    _pending: list[tuple[FileIO, bytes]] = field(default_factory=list)
    _handles: list[FileIO] = field(default_factory=list)
    _ended: bool = False

    async def run(self, request: Request, boundary: bytes) -> None:
        try:
            parser = MultipartParser(boundary, self._callbacks())  # type: ignore[arg-type]
            waiting = 0
            async for chunk in request.stream():
                parser.write(chunk)
                waiting += len(chunk)
                if waiting >= _BUFFER_BYTES:
                    await to_thread.run_sync(self._flush)
                    waiting = 0
            parser.finalize()
        except FormParserError as error:
            raise InvalidInput(f"The multipart body cannot be read: {error}.", code="invalid_multipart") from error
        if not self._ended:
            raise InvalidInput("The multipart body ends before its last boundary.", code="invalid_multipart")
        await to_thread.run_sync(self._flush)

    def close(self) -> None:
        for handle in self._handles:
            handle.close()

    def _callbacks(self) -> dict[str, object]:
        return {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for handle, pieces in groupby(pending, key=itemgetter(0)):
            write_all(handle, b"".join(data for _, data in pieces))

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._headers = {}
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in self.limits:
            known = ", ".join(sorted(self.limits))
            raise InvalidInput(
                f"The part {name[:40]!r} is not read here; the parts are {known}.",
                at=name[:40] or None,
                code="unexpected_part",
            )
        if name in self.paths:
            raise InvalidInput(f"The part {name!r} came twice.", at=name, code="duplicate_part")
        self.paths[name] = self.folder / name
        handle = self.paths[name].open("wb", buffering=0)  # what fails, fails where it is written
        self._handles.append(handle)
        self._part = _Part(name, handle, self.limits[name])

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part is None:  # pragma: no cover -- the parser always finishes the headers first
            return
        part.size += end - start
        if part.size > part.limit:
            raise UploadTooLarge(
                f"The part {part.name!r} is larger than the {part.limit:,} bytes taken here.", at=part.name
            )
        self._pending.append((part.handle, data[start:end]))

    def _on_part_end(self) -> None:
        self._part = None

    def _on_end(self) -> None:
        self._ended = True

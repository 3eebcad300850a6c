"""Scripts, styles and what is vendored: read once, served under the digest of them all, so that browsers keep them."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response

from app.errors import NotFound

router = APIRouter(include_in_schema=False)

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_KEPT = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class StaticFile:
    """One file as it is sent, plain and compressed."""

    data: bytes
    compressed: bytes
    media_type: str


@dataclass(frozen=True)
class StaticFiles:
    """All files by their path, and the digest that their addresses carry."""

    by_path: dict[str, StaticFile]
    digest: str

    def url(self, path: str) -> str:
        """The address of ``path``; raises KeyError where there is no such file, which is a fault of a template."""
        _ = self.by_path[path]
        return f"/static/{self.digest}/{path}"


@cache
def static_files() -> StaticFiles:
    """What lies in ``static/``, in one tree under one digest: modules import each other by relative names."""
    found = {path: _read(file, path) for path, file in _walk(files("app.dashboard") / "static")}
    digest = hashlib.sha256()
    for path in sorted(found):
        digest.update(path.encode() + b"\0" + hashlib.sha256(found[path].data).digest())
    return StaticFiles(found, digest.hexdigest()[:16])


@router.get("/static/{digest}/{path:path}")
def static_file(
    digest: str, path: str, accept_encoding: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """A file, kept for good by browsers: another version has another address. An old address gets what is there now."""
    known = static_files()
    file = known.by_path.get(path)
    if file is None:
        raise NotFound(f"There is no file {path!r}.", at="path.path")
    headers = {"Vary": "Accept-Encoding", "Cache-Control": _KEPT if digest == known.digest else "no-store"}
    if "gzip" in accept_encoding:
        headers["Content-Encoding"] = "gzip"
        return Response(file.compressed, media_type=file.media_type, headers=headers)
    return Response(file.data, media_type=file.media_type, headers=headers)


def _walk(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            found.append((prefix + entry.name, entry))
    return found


def _read(file: Traversable, path: str) -> StaticFile:
    data = file.read_bytes()
    return StaticFile(data, gzip.compress(data, mtime=0), _TYPES[path.rpartition(".")[2]])

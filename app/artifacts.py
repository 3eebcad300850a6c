"""The artifact store: immutable bytes under the SHA-256 of their content."""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from app.errors import MisconfiguredService
from models.errors import CorruptArtifact

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


class ArtifactStore:
    """Artifacts in a local directory, ``file:///…``; written whole or not at all, and never changed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc or not parts.path:
            raise MisconfiguredService(
                f"The artifact store must be a local directory such as file:///var/lib/rigfuse, not {url!r}.",
                at="RIGFUSE_ARTIFACTS_URL",
            )
        self.root = Path(unquote(parts.path))
        self._incoming = self.root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def put_bytes(self, data: bytes) -> str:
        """Store ``data`` and answer its SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        with self._new_file() as handle:
            handle.write(data)
            self._seal(handle, sha256)
        return sha256

    def put_file(self, path: Path) -> str:
        """Store a copy of the file at ``path`` and answer its SHA-256, in bounded memory."""
        digest = hashlib.sha256()
        with path.open("rb") as source, self._new_file() as handle:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                handle.write(chunk)
            self._seal(handle, digest.hexdigest())
        return digest.hexdigest()

    def path(self, sha256: str) -> Path:
        """Where the artifact lies; raises CorruptArtifact when it is not there."""
        path = self._target(sha256)
        if not path.is_file():
            raise CorruptArtifact(f"The artifact {sha256} is missing from the store.")
        return path

    def read(self, sha256: str) -> bytes:
        """The artifact's bytes, checked against its digest."""
        data = self.path(sha256).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CorruptArtifact(f"The artifact {sha256} does not hold the bytes that were stored.")
        return data

    def forget_incoming(self) -> None:
        """Remove what processes that were killed had begun to write; only for who uses the store alone."""
        for path in self._incoming.iterdir():
            path.unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Write and remove a small file; raises OSError when the store cannot take bytes."""
        with self._new_file() as handle:
            handle.write(b"ok")
            handle.flush()

    @contextlib.contextmanager
    def _new_file(self) -> Iterator[BinaryIO]:
        # A name of its own is needed for the rename, so the file is not one that deletes itself on close.
        with tempfile.NamedTemporaryFile(dir=self._incoming, delete=False) as handle:
            try:
                yield cast("BinaryIO", handle)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    Path(handle.name).unlink()

    def _seal(self, handle: BinaryIO, sha256: str) -> None:
        handle.flush()
        os.fsync(handle.fileno())
        target = self._target(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(handle.name).replace(target)  # atomic: readers see all of it or nothing
        _sync_directory(target.parent)

    def _target(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise CorruptArtifact(f"{sha256!r} is not the name of an artifact.")
        return self.root / sha256[:2] / sha256


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

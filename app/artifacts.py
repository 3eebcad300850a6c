"""The artifact store: immutable bytes under the SHA-256 of their content, verified whenever they are taken out."""

import contextlib
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from app.artifact_files import forget_old, new_file, seal, sync_directory
from app.disks import told_when_full
from app.errors import MisconfiguredService, ServiceUnavailable
from app.store_identity import identity_of, named
from models.errors import CorruptArtifact

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Stored:
    """An artifact as the store lists it."""

    sha256: str
    written_at: datetime


class Artifacts(ABC):
    """What every store promises: whole or not at all, never changed, never handed out unless the digest is right.

    Taking out raises CorruptArtifact where the bytes are missing or wrong. Every method raises StorageFull where
    there is no room, and ServiceUnavailable where the store does not answer.
    """

    @abstractmethod
    def put_bytes(self, data: bytes) -> str:
        """Store ``data`` and answer its SHA-256."""

    @abstractmethod
    def put_file(self, path: Path) -> str:
        """Store a copy of the file at ``path`` and answer its SHA-256, in bounded memory."""

    @abstractmethod
    def open(self, sha256: str) -> BinaryIO:
        """The artifact's file, verified and at its beginning; it stays readable if the artifact is deleted."""

    @abstractmethod
    def borrow(self, sha256: str) -> contextlib.AbstractContextManager[Path]:
        """A local path of the artifact, verified, for readers that need one; it stays there while in the block."""

    @abstractmethod
    def holds(self, sha256: str) -> bool:
        """Whether there is an artifact of that name; its bytes are not looked at."""

    @abstractmethod
    def delete(self, sha256: str) -> None:
        """Remove the artifact, here and from every cache of this process; no error where it is not there."""

    @abstractmethod
    def list(self) -> Iterator[Stored]:
        """Everything stored, in no order."""

    @abstractmethod
    def forget_incoming(self, older_than_s: float = 0.0) -> int:
        """Remove what processes that were killed had begun to write this long ago; answers how many."""

    @abstractmethod
    def check_writable(self) -> None:
        """Write and remove a small object; raises what keeps the store from taking bytes."""

    def copies(self) -> Iterable[str]:
        """What this machine keeps copies of, where the store is elsewhere."""
        return ()

    def forget_copy(self, sha256: str) -> None:  # noqa: B027 -- a local store has none
        """Remove this machine's copy; no error where it has none."""

    def read(self, sha256: str) -> bytes:
        """The artifact's bytes, checked against its digest."""
        with self.open(sha256) as handle:
            data = handle.read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise corrupt(sha256)
        return data


class ArtifactStore(Artifacts):
    """Artifacts in a local directory, ``file:///…``, which is made here only: one that is gone later is away."""

    def __init__(self, url: str, *, make: bool = True) -> None:
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc or not parts.path:
            raise MisconfiguredService(
                "The artifact store must be a local directory such as file:///var/lib/rigfuse, or a bucket such as "
                f"s3://bucket/prefix, not {url!r}.",
                at="RIGFUSE_ARTIFACTS_URL",
            )
        self.root = Path(unquote(parts.path))
        self._incoming = self.root / "incoming"
        self._identity = named(self.root) if make else identity_of(self.root)
        if make:
            self._incoming.mkdir(exist_ok=True)

    def put_bytes(self, data: bytes) -> str:
        """Store ``data`` and answer its SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        with self._there(), told_when_full(), new_file(self._incoming) as handle:
            handle.write(data)
            seal(handle, self._target(sha256))
        return sha256

    def put_file(self, path: Path) -> str:
        """Store a copy of the file at ``path`` and answer its SHA-256, in bounded memory."""
        digest = hashlib.sha256()
        with self._there(), told_when_full(), path.open("rb") as source, new_file(self._incoming) as handle:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                handle.write(chunk)
            seal(handle, self._target(digest.hexdigest()))
        return digest.hexdigest()

    def open(self, sha256: str) -> BinaryIO:
        """The artifact's file, verified and at its beginning; it stays readable if the artifact is deleted."""
        with self._there():
            return open_verified(self._target(sha256), sha256)

    def path(self, sha256: str) -> Path:
        """Where the artifact lies, verified."""
        self.open(sha256).close()
        return self._target(sha256)

    @contextlib.contextmanager
    def borrow(self, sha256: str) -> Iterator[Path]:
        """Where the artifact lies, verified."""
        with self._there():
            yield self.path(sha256)

    def holds(self, sha256: str) -> bool:
        """Whether there is an artifact of that name; its bytes are not looked at."""
        with self._there():
            return self._target(sha256).is_file()

    def delete(self, sha256: str) -> None:
        """Remove the artifact; no error where it is not there."""
        target = self._target(sha256)
        with self._there():
            try:
                target.unlink()
            except FileNotFoundError:
                self._check_there()  # a store that went this moment keeps the bytes
            else:
                sync_directory(target.parent)

    def list(self) -> Iterator[Stored]:
        """Everything stored, in no order."""
        self._check_there()
        for path in self.root.glob("??/*"):
            if _SHA256.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):
                    yield Stored(path.name, datetime.fromtimestamp(path.stat().st_mtime, UTC))

    def forget_incoming(self, older_than_s: float = 0.0) -> int:
        """Remove what was begun this long ago and not ended; without an age, only for who uses the store alone."""
        with self._there():
            return forget_old(self._incoming, older_than_s)

    def check_writable(self) -> None:
        """Write and remove a small file; raises OSError when the store cannot take bytes."""
        with self._there(), new_file(self._incoming) as handle:
            handle.write(b"ok")
            handle.flush()

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        """Raise ServiceUnavailable where the store is not there before the block, or that is why the block failed."""
        self._check_there()
        try:
            yield
        except (OSError, CorruptArtifact):
            self._check_there()
            raise

    def _check_there(self) -> None:
        if not self.root.is_dir() or identity_of(self.root) != self._identity:
            told = "The artifact store is away: its directory is not there, or another one; try again in a moment."
            raise ServiceUnavailable(told, at="artifacts", retry_after_s=5)

    def _target(self, sha256: str) -> Path:
        check_name(sha256)
        return self.root / sha256[:2] / sha256


def check_name(sha256: str) -> None:
    """Raise CorruptArtifact unless this can be an artifact's name."""
    if not _SHA256.fullmatch(sha256):
        raise CorruptArtifact(f"{sha256!r} is not the name of an artifact.")


def corrupt(sha256: str) -> CorruptArtifact:
    """The error for bytes that are not what their name says."""
    return CorruptArtifact(f"The artifact {sha256} does not hold the bytes that were stored.")


def missing(sha256: str) -> CorruptArtifact:
    """The error for bytes that are not there."""
    return CorruptArtifact(f"The artifact {sha256} is missing from the store.")


def open_verified(path: Path, sha256: str) -> BinaryIO:
    """The file at ``path``, its digest checked, at its beginning; raises CorruptArtifact."""
    try:
        handle = path.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        raise missing(sha256) from None
    with contextlib.ExitStack() as closing:
        closing.enter_context(handle)
        if hashlib.file_digest(handle, "sha256").hexdigest() != sha256:
            raise corrupt(sha256)
        handle.seek(0)
        closing.pop_all()
    return cast("BinaryIO", handle)

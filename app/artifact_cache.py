"""Copies of remote artifacts in a local directory: verified at every use, bounded, shared by processes.

Who reads a copy holds a shared lock on it, and what is locked is not thrown out; the kernel lets go of the locks of a
process that dies. What was used least recently goes first.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from app.artifact_files import forget_old, new_file, seal
from app.artifacts import open_verified
from app.disks import is_full, told_when_full
from models.errors import CorruptArtifact

_ATTEMPTS = 3  # another process may throw it out again at once
Fetch = Callable[[IO[bytes]], None]


class ArtifactCache:
    """At most ``max_bytes`` in ``folder``; an artifact larger than that is kept alone, while it is read."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._incoming, self._locks = folder / "incoming", folder / "locks"
        for made in (self._incoming, self._locks):
            made.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the copy lies, if there is one."""
        return self.folder / sha256

    def open(self, sha256: str, size: Callable[[], int], fetch: Fetch) -> BinaryIO:
        """The copy, verified and locked for reading; ``fetch`` writes it where there is none, one process at a time.

        Raises CorruptArtifact where also what was fetched is not right.
        """
        handle = self._open(sha256)
        if handle is not None:
            return handle
        with self._fetching(sha256):
            handle = self._open(sha256)  # another process may have fetched it meanwhile
            if handle is not None:
                return handle
            for _ in range(_ATTEMPTS):
                self._add(sha256, size(), fetch)
                handle = self._open(sha256)
                if handle is not None:
                    return handle
        raise CorruptArtifact(f"The artifact {sha256} cannot be kept in the cache.")

    def drop(self, sha256: str) -> None:
        """Forget the copy; who reads it keeps what it opened."""
        self.path(sha256).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """The digests of all copies."""
        return [path.name for path in self.folder.iterdir() if path.is_file()]

    def forget_incoming(self, older_than_s: float) -> int:
        """Remove copies that were begun this long ago and not ended; answers how many."""
        return forget_old(self._incoming, older_than_s)

    def _open(self, sha256: str) -> BinaryIO | None:
        path = self.path(sha256)
        try:
            handle = open_verified(path, sha256)
        except CorruptArtifact:
            path.unlink(missing_ok=True)
            return None
        fcntl.flock(handle, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(handle.fileno())):
                os.utime(handle.fileno())
                return handle
        handle.close()  # thrown out before it was locked
        return None

    def _add(self, sha256: str, size: int, fetch: Fetch) -> None:
        self._make_room(self._max_bytes - size)
        with told_when_full():
            try:
                self._write(sha256, fetch)
            except OSError as error:
                if not is_full(error):
                    raise
                self._make_room(0)  # the disk is smaller than the cache may be
                self._write(sha256, fetch)

    def _write(self, sha256: str, fetch: Fetch) -> None:
        with new_file(self._incoming) as handle:
            fetch(handle)
            seal(handle, self.path(sha256))

    def _make_room(self, limit: int) -> None:
        """Throw out what was used least recently until no more than ``limit`` bytes are left, or all are in use."""
        copies = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    copies.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        total = sum(size for _, size, _ in copies)
        for _, size, path in sorted(copies):
            if total <= limit:
                return
            if _throw_out(path):
                total -= size

    @contextlib.contextmanager
    def _fetching(self, sha256: str) -> Iterator[None]:
        with (self._locks / sha256[:2]).open("ab") as lock:  # at most 256 of them
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _throw_out(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True

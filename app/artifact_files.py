"""Files that are written whole or not at all, and what is left of those that were not."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from app.disks import time_on


@contextlib.contextmanager
def new_file(folder: Path) -> Iterator[IO[bytes]]:
    """A file in ``folder`` that is gone after the block unless it was sealed."""
    # A name of its own is needed for the rename, so the file is not one that deletes itself on close.
    handle = tempfile.NamedTemporaryFile(dir=folder, delete=False)  # noqa: SIM115 -- closed below, where a full disk may object
    try:
        yield cast("IO[bytes]", handle)
    finally:
        with contextlib.suppress(OSError):
            handle.close()
        with contextlib.suppress(FileNotFoundError):
            Path(handle.name).unlink()


def seal(handle: IO[bytes], target: Path) -> None:
    """Give what was written its name, once it is on the disk."""
    handle.flush()
    os.fsync(handle.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    Path(handle.name).replace(target)  # atomic: readers see all of it or nothing
    sync_directory(target.parent)


def forget_old(folder: Path, older_than_s: float) -> int:
    """Remove the folder's files that nobody has written to for this long; answers how many."""
    forgotten, now = 0, time_on(folder)
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if older_than_s <= 0 or now - path.stat().st_mtime > older_than_s:
                path.unlink()
                forgotten += 1
    return forgotten


def sync_directory(path: Path) -> None:
    """See to it that the names in a directory outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Disks: one without room is told as what it is, whoever was writing; and the clock by which files have their age."""

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from app.errors import StorageFull

_DISK_FULL = "53100"  # PostgreSQL's code
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: BaseException) -> bool:
    """Whether the error says that there is no room on a disk, or none for this user or file."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def database_is_full(error: BaseException) -> bool:
    """Whether it is the database that has no room: SQLite's file, or PostgreSQL's disk."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(cause, "sqlstate", "") == _DISK_FULL


def storage_full() -> StorageFull:
    """What a caller is told, and an operator reads in the log."""
    return StorageFull("There is no room left to store this; nothing was kept. An operator has to make room first.")


@contextlib.contextmanager
def told_when_full() -> Iterator[None]:
    """Raise StorageFull where the block found no room."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise storage_full() from error
        raise


def time_on(folder: Path) -> float:
    """The time by the clock of the disk that holds the folder.

    A shared disk may be another machine's, and files that are young by its clock look old by one that is ahead.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:  # no room even for an empty file
        return time.time()

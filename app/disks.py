"""A disk without room: told as what it is, whoever was writing."""

import contextlib
import errno
from collections.abc import Iterator

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

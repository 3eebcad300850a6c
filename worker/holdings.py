"""What one launcher holds for itself: the data directory, the listening socket, and a file for its owner's eyes."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path


class CannotStart(Exception):
    """Why nothing was started, in a sentence for the person who asked."""


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this launcher; the kernel lets go of it however the launcher ends."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = (data_dir / "lock").open("a+")
    except OSError as error:
        raise CannotStart(f"the data directory {data_dir} cannot be written: {error.strerror}.") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            owner = handle.read().strip() or "unknown"
            raise CannotStart(
                f"the data directory {data_dir} is in use by another `rigfuse up` (process {owner})."
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen before anything starts: the port is ours, and connections wait while the API restarts."""
    deadline = time.monotonic() + 3  # the API of a launcher that was killed a moment ago may not be gone yet
    while True:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            if time.monotonic() > deadline:
                raise CannotStart(f"cannot listen on {host} port {port}: {error.strerror or error}.") from error
            time.sleep(0.2)
        else:
            break
    with listener:
        yield listener


def write_private(path: Path, text: str) -> None:
    """For `rigfuse doctor --data-dir`, and nobody else."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)

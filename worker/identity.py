"""Who holds a lease: a name of one process that is never used again, so that a dead owner is known as dead."""

import os
import uuid
from pathlib import Path

_PROC = Path("/proc")


def own_identity() -> str:
    """``boot id/pid namespace/pid/start time`` of this process, or a random name where there is no /proc."""
    place = _place()
    started = _start_time(os.getpid())
    if place is None or started is None:
        return f"unknown/{uuid.uuid4().hex}"
    return f"{place}/{os.getpid()}/{started}"


def is_dead(owner: str) -> bool:
    """Whether the owner certainly lives no more.

    True only for a process of this very boot and pid namespace that /proc no longer shows, or shows under
    another start time; of any other owner only the end of its lease tells.
    """
    here = _place()
    parts = owner.rsplit("/", 2)
    if here is None or len(parts) != 3 or parts[0] != here or not parts[1].isdecimal():
        return False
    return _start_time(int(parts[1])) != parts[2]


def _place() -> str | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").readlink().name
    except OSError:
        return None
    return f"{boot}/{namespace}"


def _start_time(pid: int) -> str | None:
    """Clock ticks after boot at which a living process started; a zombie no longer lives."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the command before it may hold spaces and brackets
    return None if fields[0] in "ZX" else fields[19]

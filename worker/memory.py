"""How much memory the device of this worker has, and how much of it is free."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

_KIBIBYTE = 1024
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """Bytes; None where the system does not tell."""

    total: int | None
    free: int | None


def device_memory(device: str, limit: int | None = None) -> Memory:
    """Memory that adaptations may use: of the GPU, or of the machine within this container; ``limit`` bounds both."""
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        # What torch keeps of earlier work for the next looks taken from outside.
        found = Memory(total, free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())
    else:
        found = within(_machine(_MEMINFO), _container(_CGROUP))
    return found if limit is None else within(found, Memory(limit, limit))


def within(*bounds: Memory) -> Memory:
    """What all of them allow."""
    totals = [bound.total for bound in bounds if bound.total is not None]
    frees = [bound.free for bound in bounds if bound.free is not None]
    return Memory(min(totals, default=None), min(frees, default=None))


def _machine(meminfo: Path) -> Memory:
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return Memory(None, None)
    sizes = {name: int(rest.split()[0]) * _KIBIBYTE for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(sizes.get("MemTotal"), sizes.get("MemAvailable"))


def _container(cgroup: Path) -> Memory:
    """What a cgroup of version 2 allows; the page cache, which the kernel gives up, is not counted as used."""
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        cached = int(_pairs(cgroup / "memory.stat").get("inactive_file", "0"))
    except (OSError, ValueError):
        return Memory(None, None)
    if not limit.isdecimal():  # "max": no limit
        return Memory(None, None)
    return Memory(int(limit), max(0, int(limit) - used + cached))


def _pairs(path: Path) -> Mapping[str, str]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}

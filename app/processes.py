"""The machine's side of processes: how one part of the service starts another, and the cores it may use."""

import os
import sys
from pathlib import Path


def python_module(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module.

    ``python -m`` looks for packages in the current directory first, where a person may well have an ``app`` of their
    own; unless this process was started like that itself, the directory is left out.
    """
    from_here = "" in sys.path or str(Path.cwd()) in sys.path
    return [sys.executable, *([] if from_here else ["-P"]), "-m", module, *arguments]


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores this process may use, which in a container are fewer than the machine has.

    A container's limit is told as microseconds of computing in a period, and more threads than that would be throttled.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return min(cores, max(1, round(int(allowed) / int(period))))
    except (OSError, ValueError):  # no such file, or "max" in it
        return cores

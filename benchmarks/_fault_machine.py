"""Faults of the machine beneath the processes: a disk that is full or slow, and clocks that jump."""

import contextlib
import math
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks._fault_deployment import Deployment
from benchmarks._fault_storm import Fault

_SECONDS = struct.Struct("q")


class Unavailable(Exception):
    """This machine has not what the section needs; the sentence says what."""


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, of that size."""
    if os.geteuid() != 0:
        raise Unavailable("a small disk is mounted by root only")
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)  # noqa: S603, S607
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607


def filling(disk: Path) -> Fault:
    """Leaves no byte on the disk for some seconds."""

    def fault(deployment: Deployment, rng: np.random.Generator) -> str:
        filler = disk / "filler"
        try:
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            deployment.pause(float(rng.uniform(1, 5)))
        finally:
            filler.unlink()
        return "disk full"

    return fault


def slow_disk(folder: Path, scratch: Path, milliseconds: int, kilobytes_per_s: int) -> dict[str, str]:
    """The environment in which a process finds that folder slow: each sync and rename, each read and write."""
    told = {"SLOW_FOLDER": str(folder), "SLOW_MS": str(milliseconds), "SLOW_KBPS": str(kilobytes_per_s)}
    return {"LD_PRELOAD": _compiled("slow", scratch), **told}


def clocks(scratch: Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """More environment for each process, whose time of day can then be set; its steady clock stays as it is."""
    library = _compiled("clock", scratch)
    for name in names:
        (scratch / name).write_bytes(_SECONDS.pack(0))
    return {name: {"LD_PRELOAD": library, "CLOCK_FILE": str(scratch / name)} for name in names}


def jumping(scratch: Path, name: str, most_s: int) -> Fault:
    """Sets the clock of a process some seconds, minutes, hours or days before or after the right time."""

    def fault(_: Deployment, rng: np.random.Generator) -> str:
        seconds = int(rng.choice([-1, 1]) * 10 ** rng.uniform(0.5, math.log10(most_s)))
        with (scratch / name).open("r+b") as file:  # the same file: processes have it mapped
            file.write(_SECONDS.pack(seconds))
        return f"clock of {name.rstrip('0123456789')} set {'forwards' if seconds > 0 else 'backwards'}"

    return fault


def _compiled(name: str, scratch: Path) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("slow disks and clock jumps need a C compiler")
    scratch.mkdir(parents=True, exist_ok=True)
    scratch.chmod(0o755)
    library, source = scratch / f"{name}.so", Path(__file__).with_name(f"_fault_{name}.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)  # noqa: S603
    return str(library)

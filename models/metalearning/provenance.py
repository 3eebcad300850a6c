"""The manifest beside ω_base: everything that is needed to rebuild it, and what came of it."""

import hashlib
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.metalearning.draw import PUBLISHED
from models.metalearning.ranks import Ranks
from models.metalearning.state import State
from models.motions import MotionLibrary

_PACKAGE = Path(__file__).parents[1]
_POINTS = 40  # of a curve


def manifest(state: State, ranks: Ranks, workers: int) -> dict[str, Any]:
    """Seed, config, sources, code, machine and curves of a finished run."""
    schedule = state.schedule
    window = max(1, len(state.curve) // _POINTS)
    means = np.array(state.curve)[: len(state.curve) // window * window].reshape(-1, window, 2).mean(1).round(4)
    return {
        "command": f"python -m models.metalearning --config {schedule.name}",
        "method": "smooth detection loss over simulated rigs, θ from the cameras as they are believed",
        "schedule": asdict(schedule),
        "rigs_seen": state.step * schedule.rigs,
        "sources": {"motions": sources(schedule.worlds.motions), "published_rigs": list(PUBLISHED)},
        "code": code_version(),
        "curve": {"fused": means[:, 0].tolist(), "no_fusion": means[:, 1].tolist(), "steps_per_point": window},
        "log_rounds": state.log_rounds.detach().cpu().numpy().round(4).tolist(),
        "seconds": round(state.seconds, 1),
        "processes": ranks.size,
        "workers": workers,
        "threads": torch.get_num_threads(),
        "device": device_name(ranks.device),
        "peak_memory_mib": peak_memory_mib(ranks.device),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def sources(motions: Iterable[str]) -> list[dict[str, str | int | float]]:
    """Of each source of motion, how many clips and seconds it has and a digest of its joints, to a tenth of a mm."""
    told: list[dict[str, str | int | float]] = []
    for source in motions:
        clips, total = MotionLibrary.open(source).clips, hashlib.sha256()
        for clip in sorted(clips, key=lambda clip: clip.name):
            total.update(f"{clip.name} {clip.fps:.4f}".encode())
            total.update(np.rint(clip.joints * 1e4).astype("<i4").tobytes())
        seconds = round(sum(clip.seconds for clip in clips), 1)
        told.append({"source": Path(source).name, "clips": len(clips), "seconds": seconds, "sha256": total.hexdigest()})
    return told


def digest(files: Iterable[Path]) -> str:
    """SHA-256 of files' names and bytes, in the order of their names."""
    total = hashlib.sha256()
    for file in sorted(files, key=lambda path: path.as_posix()):
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def code_version() -> dict[str, str | bool | None]:
    """The digest of the package's modules and configs, and the commit they come from where that can be told."""
    files = [*_PACKAGE.rglob("*.py"), *_PACKAGE.glob("configs/*.toml")]
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", str(_PACKAGE))
    return {
        "models_sha256": digest(files),
        "commit": commit,
        "changed_since": None if commit is None else bool(changes),
    }


def _git(*arguments: str) -> str | None:
    """Git's answer about the folder the package lies in; None where there is no git or no repository."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(_PACKAGE), *arguments],  # noqa: S607 - the user's own git
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def device_name(device: str) -> str:
    """The GPU's name, or the processor's architecture."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else f"cpu ({platform.machine()})"


def peak_memory_mib(device: str) -> dict[str, int]:
    """The most memory this process has held, and on its GPU."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20}
    if device.startswith("cuda"):
        peak["device"] = int(torch.cuda.max_memory_allocated(device)) // 2**20
    return peak

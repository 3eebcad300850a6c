"""Where finetuning starts in the paper's methods: one field θ for every pair of every rig, and ω_base."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.affine import ACROSS, GRID, PIXELS, theta_of_lines
from models.errors import CorruptArtifact
from models.heatmap import HEATMAP_SIZE
from models.weights import FOLDER


@dataclass(frozen=True)
class Start:
    """``theta`` [4096, 2, 3], a number of its own for every target pixel; ``omega`` [64, 64]; the file's digest."""

    theta: NDArray[np.float32]
    omega: NDArray[np.float32]
    digest: str = ""


def same_row(unit_px: float, ridge_px: float, height: float) -> Start:
    """Before any training: every pixel looks at its own row of the other view, through a Gaussian ridge.

    ``unit_px`` heatmap pixels across the row make one unit of θ, so it says how far a step of given size goes;
    ``ridge_px`` is the ridge's standard deviation in heatmap pixels.
    """
    rows = np.stack([np.zeros(PIXELS), np.ones(PIXELS), -GRID[:, 1]], axis=-1)
    across = np.linspace(-1, 1, HEATMAP_SIZE)[:, None] * unit_px
    omega = np.broadcast_to(height * np.exp(-0.5 * np.square(across / ridge_px)), (HEATMAP_SIZE, HEATMAP_SIZE))
    return Start(theta_of_lines(rows, unit_px / ACROSS), omega.astype(np.float32))


def save_start(start: Start, folder: Path, name: str, provenance: Mapping[str, Any]) -> str:
    """Write a start and its manifest under ``name``; returns its SHA-256."""
    data = save({"theta": np.ascontiguousarray(start.theta), "omega_base": np.ascontiguousarray(start.omega)})
    digest = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(data)
    manifest = {"file": f"{name}.safetensors", "sha256": digest, **provenance}
    (folder / f"{name}.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return digest


def load_start(name: str, folder: Path = FOLDER) -> Start:
    """Read a start; raises CorruptArtifact where its bytes are not those of the manifest, or are no start."""
    manifest = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    data = (folder / manifest["file"]).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != manifest["sha256"]:
        raise CorruptArtifact(f"{manifest['file']} has SHA-256 {digest[:12]}…, its manifest says otherwise.")
    try:
        tensors = load(data)
        theta, omega = tensors["theta"], tensors["omega_base"]
    except (SafetensorError, KeyError) as error:
        raise CorruptArtifact(f"{manifest['file']} holds no θ and ω_base: {error}.") from error
    if theta.shape != (PIXELS, 2, 3) or omega.shape != (HEATMAP_SIZE, HEATMAP_SIZE):
        raise CorruptArtifact(f"{manifest['file']} holds θ {theta.shape} and ω_base {omega.shape}.")
    return Start(theta.astype(np.float32), omega.astype(np.float32), digest)


@cache
def shipped_start(name: str) -> Start:
    """A start that ships, read once."""
    return load_start(name)

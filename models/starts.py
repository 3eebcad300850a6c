"""Where finetuning starts in the paper's methods: one field θ for every pair of every rig, and ω_base."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.affine import ACROSS, GRID, PIXELS, theta_of_lines
from models.errors import CorruptArtifact
from models.heatmap import HEATMAP_SIZE
from models.weights import FOLDER, load_sealed, save_sealed


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
    return save_sealed({"theta": start.theta, "omega_base": start.omega}, folder, name, provenance)


def load_start(name: str, folder: Path = FOLDER) -> Start:
    """Read a start; raises CorruptArtifact where its bytes are not those of the manifest, or are no start."""
    tensors, digest = load_sealed(folder, name)
    try:
        theta, omega = tensors["theta"], tensors["omega_base"]
    except KeyError as error:
        raise CorruptArtifact(f"{name} holds no {error}.") from error
    if theta.shape != (PIXELS, 2, 3) or omega.shape != (HEATMAP_SIZE, HEATMAP_SIZE):
        raise CorruptArtifact(f"{name} holds θ {theta.shape} and ω_base {omega.shape}.")
    return Start(theta.astype(np.float32), omega.astype(np.float32), digest)


@cache
def shipped_start(name: str) -> Start:
    """A start that ships, read once."""
    return load_start(name)

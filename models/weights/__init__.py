"""What ships with the service: ω_base and the default backbone, each with its provenance and digest."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from models.errors import CorruptArtifact
from models.fusion import OmegaBase

FOLDER = Path(__file__).parent
_NAME = "omega_base"


def save_omega(omega: OmegaBase, folder: Path, provenance: dict[str, Any], name: str = _NAME) -> str:
    """Write an ω_base and its manifest under ``name``; returns its SHA-256."""
    tensors = {
        "omega_base": np.ascontiguousarray(omega.values, np.float32),
        "gains": np.array(omega.gains, np.float32),
        "sharpness": np.array([omega.sharpness], np.float32),
    }
    data = save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    (folder / f"{name}.safetensors").write_bytes(data)
    manifest = {"file": f"{name}.safetensors", "sha256": digest, "shape": list(omega.values.shape), **provenance}
    (folder / f"{name}.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return digest


def load_omega(folder: Path = FOLDER, name: str = _NAME) -> OmegaBase:
    """Read an ω_base; raises CorruptArtifact where its bytes are not those of the manifest."""
    manifest = json.loads((folder / f"{name}.json").read_text())
    data = (folder / manifest["file"]).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != manifest["sha256"]:
        raise CorruptArtifact(f"{manifest['file']} has SHA-256 {digest[:12]}…, its manifest says otherwise.")
    tensors = load(data)
    first, second = tensors["gains"].tolist()
    return OmegaBase(tensors["omega_base"], (first, second), float(tensors["sharpness"][0]), digest)


@cache
def default_omega() -> OmegaBase:
    """The ω_base that ships, read once."""
    return load_omega()

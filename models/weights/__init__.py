"""What ships with the service: ω_base and the default backbone, each with its provenance and digest."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.errors import CorruptArtifact
from models.pair_weights import OmegaBase

FOLDER = Path(__file__).parent
_NAME = "omega_base"


def save_sealed(tensors: Mapping[str, NDArray[Any]], folder: Path, name: str, manifest: Mapping[str, Any]) -> str:
    """Write tensors, and beside them a manifest that holds their SHA-256, which is returned."""
    data = save({key: np.ascontiguousarray(value) for key, value in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(data)
    sealed = {"file": f"{name}.safetensors", "sha256": digest, **manifest}
    (folder / f"{name}.json").write_text(json.dumps(sealed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return digest


def load_sealed(folder: Path, name: str) -> tuple[dict[str, NDArray[Any]], str]:
    """The tensors and their SHA-256; raises CorruptArtifact where the bytes are not those of the manifest."""
    manifest = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    data = (folder / manifest["file"]).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != manifest["sha256"]:
        raise CorruptArtifact(f"{manifest['file']} has SHA-256 {digest[:12]}…, its manifest says otherwise.")
    try:
        return load(data), digest
    except SafetensorError as error:
        raise CorruptArtifact(f"{manifest['file']} holds no tensors: {error}.") from error


def save_omega(omega: OmegaBase, folder: Path, provenance: dict[str, Any], name: str = _NAME) -> str:
    """Write an ω_base and its manifest under ``name``; returns its SHA-256."""
    tensors = {
        "omega_base": omega.values.astype(np.float32),
        "gains": np.array(omega.gains, np.float32),
        "sharpness": np.array([omega.sharpness], np.float32),
    }
    return save_sealed(tensors, folder, name, {"shape": list(omega.values.shape), **provenance})


def load_omega(folder: Path = FOLDER, name: str = _NAME) -> OmegaBase:
    """Read an ω_base; raises CorruptArtifact where its bytes are not those of the manifest."""
    tensors, digest = load_sealed(folder, name)
    first, second = tensors["gains"].tolist()
    return OmegaBase(tensors["omega_base"], (first, second), float(tensors["sharpness"][0]), digest)


@cache
def default_omega() -> OmegaBase:
    """The ω_base that ships, read once."""
    return load_omega()

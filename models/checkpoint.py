"""A fusion checkpoint and its bytes: safetensors with a JSON manifest in the header, nothing that can run code."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.errors import CheckpointMismatch, CorruptArtifact
from models.fusion import OmegaBase
from models.rig import Rig

FORMAT = 1
CODE_VERSION = "0.1.0"


@dataclass(frozen=True)
class Checkpoint:
    """The immutable result of an adaptation.

    ``theta`` [P, 64, 64, 2, 3] and ``gains`` [P] in the order of ``Rig.pairs``; ``R`` [V, 3, 3] and ``t`` [V, 3] the
    extrinsics to triangulate with (``repaired`` tells whether the labels moved them); ``project`` whether 2D joints are
    the projections of the joints in space; ω_base travels along, so that a checkpoint keeps working when the service
    ships a newer one.
    """

    method: str
    seed: int
    rig_digest: str
    capture_digest: str
    omega: OmegaBase
    theta: NDArray[np.float32]
    gains: NDArray[np.float32]
    R: NDArray[np.float64]
    t: NDArray[np.float64]
    repaired: bool
    project: bool
    metrics: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    code_version: str = CODE_VERSION

    @property
    def promoted(self) -> bool:
        """Whether it beat No-Fusion and epipolar fusion on held-out frames."""
        return bool(self.metrics.get("promoted", False))

    def manifest(self) -> dict[str, Any]:
        """What it is and where it comes from, without the tensors."""
        return {
            "format": FORMAT,
            "method": self.method,
            "seed": self.seed,
            "code_version": self.code_version,
            "digests": {"rig": self.rig_digest, "capture": self.capture_digest, "omega_base": self.omega.digest},
            "repaired_cameras": self.repaired,
            "project_joints": self.project,
            "lineage": self.lineage,
            "metrics": self.metrics,
        }

    def to_bytes(self) -> bytes:
        """Serialise to safetensors."""
        tensors: dict[str, NDArray[Any]] = {
            "theta": self.theta.astype(np.float32),
            "gains": self.gains.astype(np.float32),
            "R": self.R.astype(np.float64),
            "t": self.t.astype(np.float64),
            "omega_base": self.omega.values.astype(np.float32),
            "omega_gains": np.array(self.omega.gains, np.float64),
            "omega_sharpness": np.array([self.omega.sharpness], np.float64),
        }
        tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        sealed = self.manifest() | {"sha256": _digest(self.manifest(), tensors)}
        return save(tensors, {"manifest": _canonical(sealed)})  # one key: safetensors writes several in any order

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Read a checkpoint; raises CorruptArtifact where the bytes are not one, or not those that were written."""
        try:
            tensors, manifest = _read(data)
            return cls._assembled(tensors, manifest)
        except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptArtifact(f"The artifact is not a fusion checkpoint: {error}.") from error

    @classmethod
    def _assembled(cls, tensors: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> "Checkpoint":
        first, second = tensors["omega_gains"].tolist()
        omega = OmegaBase(
            tensors["omega_base"],
            (first, second),
            float(tensors["omega_sharpness"][0]),
            manifest["digests"]["omega_base"],
        )
        return cls(
            method=manifest["method"],
            seed=manifest["seed"],
            rig_digest=manifest["digests"]["rig"],
            capture_digest=manifest["digests"]["capture"],
            omega=omega,
            repaired=manifest["repaired_cameras"],
            project=manifest["project_joints"],
            metrics=manifest["metrics"],
            lineage=manifest["lineage"],
            code_version=manifest["code_version"],
            **{name: tensors[name] for name in ("theta", "gains", "R", "t")},
        )

    def rig(self, sent: Rig) -> Rig:
        """The rig with the checkpoint's cameras; raises CheckpointMismatch for any other rig than its own."""
        if sent.digest != self.rig_digest:
            raise CheckpointMismatch(
                f"The checkpoint was made for a rig with digest {self.rig_digest[:12]}…, not {sent.digest[:12]}…."
            )
        return sent.with_poses(self.R, self.t)


def _read(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The tensors and the manifest, once their digest and format are found right."""
    tensors = load(data)
    length = int.from_bytes(data[:8], "little")
    manifest: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["manifest"])
    if manifest.pop("sha256") != _digest(manifest, tensors):
        raise ValueError("its content does not have the digest it was written with")
    if manifest.get("format") != FORMAT:
        raise ValueError(f"it has format {manifest.get('format')}, not {FORMAT}")
    return tensors, manifest


def _canonical(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _digest(manifest: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> str:
    """SHA-256 of all that a checkpoint says, however its bytes are laid out."""
    content = hashlib.sha256(_canonical(manifest).encode())
    for name in sorted(tensors):
        content.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        content.update(tensors[name].tobytes())
    return content.hexdigest()


def digest_of(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()

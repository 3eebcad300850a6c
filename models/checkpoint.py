"""A fusion checkpoint and its bytes: safetensors with a JSON manifest in the header, nothing that can run code."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.affine import PIXELS
from models.errors import CheckpointMismatch, CorruptArtifact
from models.pair_weights import LowRank, OmegaBase
from models.rig import Rig
from models.views import HEATMAP_SIZE

FORMAT = 1
CODE_VERSION = "0.1.0"
_DTYPES = {"theta": np.float32, "left": np.float16, "right": np.float16, "limbs": np.float64}


@dataclass(frozen=True)
class Checkpoint:
    """The immutable result of an adaptation.

    In the order of ``Rig.pairs``, ``gains`` [P] and the weights of every pair: ``theta`` [P, 64, 64, 2, 3] for ω_base,
    or where a method knows none, the factors ``left`` [P, 4096, r] and ``right`` [P, r, 4096]. ``R`` [V, 3, 3] and
    ``t`` [V, 3] are the extrinsics to triangulate with (``repaired`` tells whether the labels moved them); ``project``
    whether 2D joints are the projections of the joints in space; ω_base travels along, so that a checkpoint keeps
    working when the service ships a newer one. ``alone`` are the ids of cameras that fusing only harms and that fall
    back to their own heatmaps (models.fallback). ``limbs`` [L], in the rig's unit and the order of its skeleton's
    limbs, are lengths that help to triangulate (models.body), NaN where unknown; without them joints are triangulated
    one by one.
    """

    method: str
    seed: int
    rig_digest: str
    capture_digest: str
    omega: OmegaBase
    theta: NDArray[np.float32] | None
    gains: NDArray[np.float32]
    R: NDArray[np.float64]
    t: NDArray[np.float64]
    repaired: bool
    project: bool
    metrics: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    code_version: str = CODE_VERSION
    left: NDArray[np.float16] | None = None
    right: NDArray[np.float16] | None = None
    limbs: NDArray[np.float64] | None = None
    alone: tuple[str, ...] = ()

    def weights(self) -> NDArray[np.float32] | list[LowRank]:
        """The weights of all pairs, as models.fusion.Fuser takes them."""
        if self.theta is not None:
            return self.theta
        if self.left is None or self.right is None:
            raise ValueError("A checkpoint holds either theta or two factors.")
        return [LowRank(left, right) for left, right in zip(self.left, self.right, strict=True)]

    @property
    def promoted(self) -> bool:
        """Whether it has earned to serve (models.gate)."""
        return bool(self.metrics.get("promoted", False))

    def same_fusion(self, other: "Checkpoint") -> bool:
        """Whether it serves exactly as another does, whatever was measured of either."""
        tensors = ("theta", "left", "right", "limbs", "gains", "R", "t")
        plain = ("method", "rig_digest", "project", "alone")
        ours, theirs = self.omega, other.omega
        return (
            all(getattr(self, name) == getattr(other, name) for name in plain)
            and (ours.gains, ours.sharpness, ours.pooling) == (theirs.gains, theirs.sharpness, theirs.pooling)
            and np.array_equal(ours.values, theirs.values)
            and all(_alike(getattr(self, name), getattr(other, name)) for name in tensors)
        )

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
            **({"cameras_alone": list(self.alone)} if self.alone else {}),
            "pooling": self.omega.pooling,
            "lineage": self.lineage,
            "metrics": self.metrics,
        }

    def to_bytes(self) -> bytes:
        """Serialise to safetensors."""
        fields = {"theta": self.theta, "left": self.left, "right": self.right, "limbs": self.limbs}
        tensors: dict[str, NDArray[Any]] = {
            **{name: value.astype(_DTYPES[name]) for name, value in fields.items() if value is not None},
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
            _check_shapes(tensors)
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
            manifest.get("pooling", "sum"),
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
            theta=tensors.get("theta"),
            left=tensors.get("left"),
            right=tensors.get("right"),
            limbs=tensors.get("limbs"),
            alone=tuple(manifest.get("cameras_alone", ())),
            **{name: tensors[name] for name in ("gains", "R", "t")},
        )

    def rig(self, sent: Rig) -> Rig:
        """The rig with the checkpoint's cameras; raises CheckpointMismatch for any other rig than its own."""
        if sent.digest != self.rig_digest:
            raise CheckpointMismatch(
                f"The checkpoint was made for a rig with digest {self.rig_digest[:12]}…, not {sent.digest[:12]}…."
            )
        if self.limbs is not None and len(self.limbs) != len(sent.skeleton.limbs):
            limbs, skeleton = len(sent.skeleton.limbs), sent.skeleton.name
            raise CheckpointMismatch(f"The checkpoint has {len(self.limbs)} limb lengths; {skeleton} has {limbs}.")
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
    if manifest.get("pooling", "sum") not in {"sum", "max"}:
        raise ValueError(f"it pools by {manifest['pooling']!r}, which this version does not know")
    return tensors, manifest


def _check_shapes(tensors: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError unless all shapes agree on one number of views, and theta or the two factors on the rest."""
    views = len(tensors["R"])
    pairs = views * (views - 1)
    expected: dict[str, tuple[int, ...]] = {
        "R": (views, 3, 3), "t": (views, 3), "gains": (pairs,), "omega_base": (HEATMAP_SIZE, HEATMAP_SIZE),
        "omega_gains": (2,), "omega_sharpness": (1,),
    }  # fmt: skip
    if "theta" in tensors:
        expected["theta"] = (pairs, HEATMAP_SIZE, HEATMAP_SIZE, 2, 3)
    else:
        rank = tensors["left"].shape[-1]
        expected |= {"left": (pairs, PIXELS, rank), "right": (pairs, rank, PIXELS)}
    if "limbs" in tensors:
        expected["limbs"] = (tensors["limbs"].size,)
    if tensors.keys() != expected.keys():
        raise ValueError(f"it holds {', '.join(sorted(tensors))}, not {', '.join(sorted(expected))}")
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has shape {tensors[name].shape}, not {shape}")


def _alike(ours: NDArray[Any] | None, theirs: NDArray[Any] | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return np.array_equal(ours, theirs, equal_nan=True)


def _canonical(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _digest(manifest: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> str:
    """SHA-256 of all that a checkpoint says, however its bytes are laid out."""
    content = hashlib.sha256(_canonical(manifest).encode())
    for name in sorted(tensors):
        content.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        content.update(tensors[name].tobytes())
    return content.hexdigest()

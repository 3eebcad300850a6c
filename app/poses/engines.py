"""Engines kept in memory: a rig with a checkpoint, ready to serve.

The key holds the checkpoint, so an activation simply asks for another engine: requests under way keep theirs.
"""

from collections.abc import Collection
from dataclasses import dataclass

from app.artifacts import Artifacts
from app.cache import Cache
from models.checkpoint import Checkpoint
from models.cutting import ViewCutter
from models.rig import Rig
from models.runtime import Engine

NO_FUSION = "none"
EPIPOLAR = "epipolar"
Key = tuple[str, str]


@dataclass(frozen=True)
class Fusion:
    """How a request is to be fused: ``none``, ``epipolar``, or a checkpoint and where its bytes lie."""

    name: str
    artifact_sha256: str | None = None

    @property
    def mode(self) -> str:
        """The same without the checkpoint's id, for counting."""
        return "checkpoint" if self.artifact_sha256 else self.name

    @classmethod
    def of(cls, checkpoint_id: str | None, artifact_sha256: str | None) -> "Fusion":
        """With a checkpoint, or without fusion where there is none."""
        return cls(NO_FUSION) if checkpoint_id is None else cls(checkpoint_id, artifact_sha256)


class Engines:
    """At most ``size`` engines, of ``nbytes`` in all where there are several, and as many view cutters."""

    def __init__(self, artifacts: Artifacts, size: int, nbytes: int) -> None:
        self._artifacts = artifacts
        self._engines: Cache[Key, Engine] = Cache(size, weight=nbytes, weigh=lambda engine: engine.nbytes)
        self._cutters: Cache[str, ViewCutter] = Cache(size, weight=nbytes, weigh=lambda cutter: cutter.nbytes)

    def __len__(self) -> int:
        return len(self._engines)

    @property
    def nbytes(self) -> int:
        """Memory that engines and cutters hold."""
        return int(self._engines.weight + self._cutters.weight)

    @property
    def is_full(self) -> bool:
        """Whether another engine may push one out."""
        return self._engines.is_full

    def has(self, rig_digest: str, fusion: Fusion) -> bool:
        """Whether the engine is loaded."""
        return (rig_digest, fusion.name) in self._engines

    def get(self, rig: Rig, fusion: Fusion) -> Engine:
        """The engine, loaded if need be; raises CorruptArtifact or CheckpointMismatch."""
        return self._engines.get((rig.digest, fusion.name), lambda: self._load(rig, fusion))

    def cutter(self, rig: Rig) -> ViewCutter:
        """What cuts the rig's views out of its images."""
        return self._cutters.get(rig.digest, lambda: ViewCutter(rig))

    def loaded(self) -> list[Key]:
        """Digest of the rig and name of the fusion of every engine here."""
        return self._engines.keys()

    def pin(self, keys: Collection[Key]) -> None:
        """Keep these engines, as long as they alone fit into the memory."""
        self._engines.pin(keys)

    def _load(self, rig: Rig, fusion: Fusion) -> Engine:
        if fusion.artifact_sha256 is not None:
            return Engine.load(rig, Checkpoint.from_bytes(self._artifacts.read(fusion.artifact_sha256)))
        return Engine.epipolar(rig) if fusion.name == EPIPOLAR else Engine.unfused(rig)

"""Engines kept in memory: a rig with a checkpoint, ready to serve.

The key holds the checkpoint, so an activation simply asks for another engine: requests under way keep theirs.
"""

from dataclasses import dataclass

from app.artifacts import ArtifactStore
from app.cache import Cache
from models.checkpoint import Checkpoint
from models.cutting import ViewCutter
from models.rig import Rig
from models.runtime import Engine

NO_FUSION = "none"
EPIPOLAR = "epipolar"


@dataclass(frozen=True)
class Fusion:
    """How a request is to be fused: ``none``, ``epipolar``, or a checkpoint and where its bytes lie."""

    name: str
    artifact_sha256: str | None = None

    @property
    def mode(self) -> str:
        """The same without the checkpoint's id, for counting."""
        return "checkpoint" if self.artifact_sha256 else self.name


class Engines:
    """At most ``size`` engines, of ``nbytes`` in all where there are several, and as many view cutters."""

    def __init__(self, artifacts: ArtifactStore, size: int, nbytes: int) -> None:
        self._artifacts = artifacts
        self._engines: Cache[tuple[str, str], Engine] = Cache(size, weight=nbytes, weigh=lambda engine: engine.nbytes)
        self._cutters: Cache[str, ViewCutter] = Cache(size)

    def __len__(self) -> int:
        return len(self._engines)

    def get(self, rig: Rig, fusion: Fusion) -> Engine:
        """The engine, loaded if need be; raises CorruptArtifact or CheckpointMismatch."""
        return self._engines.get((rig.digest, fusion.name), lambda: self._load(rig, fusion))

    def cutter(self, rig: Rig) -> ViewCutter:
        """What cuts the rig's views out of its images."""
        return self._cutters.get(rig.digest, lambda: ViewCutter(rig))

    def _load(self, rig: Rig, fusion: Fusion) -> Engine:
        if fusion.artifact_sha256 is not None:
            return Engine.load(rig, Checkpoint.from_bytes(self._artifacts.read(fusion.artifact_sha256)))
        return Engine.epipolar(rig) if fusion.name == EPIPOLAR else Engine.unfused(rig)

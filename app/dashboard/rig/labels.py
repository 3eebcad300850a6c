"""What a capture's labels show: which joints each camera sees, and which camera sees what another does not."""

from dataclasses import dataclass
from threading import Lock

import numpy as np
from cachetools import TTLCache, cached
from numpy.typing import NDArray

from app.artifacts import Artifacts
from app.captures.contents import Labels
from models.errors import RigFuseError

Counts = NDArray[np.int64]
_KEPT_S = 60.0


@dataclass(frozen=True)
class LabelCounts:
    """Labels counted: ``visible`` and ``hidden`` [V, J] in frames, ``shared`` and ``lent`` [target V, source V].

    ``shared`` joints are labelled in both cameras of a pair; ``lent`` ones are hidden in the target and seen by the
    source. ``unseen`` [V] are hidden in the camera and seen by none.
    """

    frames: int
    visible: Counts
    hidden: Counts
    shared: Counts
    lent: Counts
    unseen: Counts

    @classmethod
    def of(cls, visibility: NDArray[np.uint8]) -> "LabelCounts":
        """Count visibility [F, V, J], as in COCO."""
        hidden, seen = (visibility == 1).astype(np.int64), (visibility == 2).astype(np.int64)
        labelled = hidden + seen
        alone = hidden * (seen.sum(1, keepdims=True) == 0)
        return cls(
            frames=len(visibility),
            visible=seen.sum(0),
            hidden=hidden.sum(0),
            shared=np.einsum("fvj,fwj->vw", labelled, labelled),
            lent=np.einsum("fvj,fwj->vw", hidden, seen),
            unseen=alone.sum((0, 2)),
        )


def count_labels(artifacts: Artifacts, sha256: str, cameras: int, joints: int) -> LabelCounts | None:
    """The counts of the labels of that digest, counted once in a while.

    None where they are gone, damaged, or not of such a rig: a page goes on without them.
    """
    counts = _counted(artifacts, sha256)
    return counts if counts is not None and counts.visible.shape == (cameras, joints) else None


# That a store is away is remembered too: pages are made anew every few seconds, and must not wait for it each time.
@cached(TTLCache(64, _KEPT_S), lock=Lock())
def _counted(artifacts: Artifacts, sha256: str) -> LabelCounts | None:
    try:
        return LabelCounts.of(Labels.from_bytes(artifacts.read(sha256)).visibility)
    except (RigFuseError, OSError):
        return None

"""What NaiveFuse learns from: every labelled joint of a frame is one sample of a linear problem a target view."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.affine import HALF, PIXELS
from models.fusion import FLOOR
from models.heatmap import HEATMAP_SIZE, render
from models.labelled import LabelledFrames
from models.pair_weights import LowRank

Array32 = NDArray[np.float32]

TARGET_SIGMA_PX = 2.0


@dataclass(frozen=True)
class Problem:
    """``seen`` B × [S, 4096]: what each source sees of a target's samples; ``lacking`` [S, 4096]: what that lacks.

    The weights sought make ``Σ_b W_b seen_b`` equal to ``lacking``.
    """

    seen: list[Array32]
    lacking: Array32

    def __len__(self) -> int:
        """The number of samples S."""
        return len(self.lacking)

    def products(self, other: "Problem | None" = None, dtype: type[np.floating] = np.float32) -> NDArray[np.floating]:
        """Inner products of another problem's samples (or of its own) with its samples [S', S], over all sources."""
        total: NDArray[np.floating] = np.zeros((len(self if other is None else other), len(self)), dtype)
        for index, seen in enumerate(self.seen):
            own = seen.astype(dtype, copy=False)
            total += (own if other is None else other.seen[index].astype(dtype, copy=False)) @ own.T
        return total

    def subset(self, index: NDArray[np.intp]) -> "Problem":
        """The samples at ``index``."""
        return Problem([seen[index] for seen in self.seen], self.lacking[index])

    def beyond(self, start: LowRank) -> "Problem":
        """The problem that is left when every source is already fused with the weights ``start``."""
        left, right = start.lookup(), start.rows()
        lacking = self.lacking.copy()
        for seen in self.seen:
            lacking -= (seen @ right.T) @ left.T
        return replace(self, lacking=lacking)


@dataclass(frozen=True)
class Samples:
    """Of all joints of all frames: ``heatmaps`` [V, S, 4096] and ``joints`` [V, S, 2], the labels in view pixels."""

    heatmaps: Array32
    joints: NDArray[np.float64]

    @classmethod
    def of(cls, frames: LabelledFrames) -> "Samples":
        """The samples of labelled frames."""
        views = frames.heatmaps.shape[1]
        joints = frames.joints_view.swapaxes(0, 1).reshape(views, -1, 2)
        return cls(frames.heatmaps.swapaxes(0, 1).reshape(views, -1, PIXELS), joints)

    def problem(self, target: int, sources: Sequence[int]) -> Problem:
        """The samples labelled inside a target view and a source; a source counts where it is labelled inside too."""
        inside = np.abs(self.joints - HALF).max(-1) < HEATMAP_SIZE / 2
        kept = inside[target] & inside[list(sources)].any(0)
        seen = []
        for source in sources:
            heatmaps = self.heatmaps[source][kept]
            heatmaps[(heatmaps <= FLOOR) | ~inside[source][kept, None]] = 0
            seen.append(heatmaps)
        gaussians = render(self.joints[target][kept], TARGET_SIGMA_PX).reshape(-1, PIXELS)
        return Problem(seen, gaussians - self.heatmaps[target][kept])


def thinned(frames: LabelledFrames, samples: int) -> LabelledFrames:
    """At most so many ``samples``, joints of a frame, from frames spread evenly over the capture."""
    limit = max(1, samples // frames.heatmaps.shape[2])
    if len(frames.frames) <= limit:
        return frames
    return frames.subset(np.unique(np.linspace(0, len(frames.frames) - 1, limit).astype(int)))

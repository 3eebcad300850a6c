"""Labelled frames that show one pose again: however many they are, they are the evidence of one."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ALIKE_PX = 0.6  # heatmap pixels, root mean square over the joints: two careful labels of one pose differ by 0.5
_SHARED = 0.5  # of the joints labelled in either frame, to be compared at all


def first_alike(joints_view: Array) -> NDArray[np.intp]:
    """For each frame of labels [F, V, J, 2] in heatmap pixels the first frame that it is a duplicate of, or itself.

    Duplicates are compared with that first frame, so a slow motion does not become one long chain.
    """
    frames = len(joints_view)
    alike = _alike(joints_view.reshape(frames, -1, 2))
    first = np.arange(frames)
    for frame in range(frames):
        earlier = np.flatnonzero(alike[frame, :frame] & (first[:frame] == np.arange(frame)))
        if len(earlier):
            first[frame] = earlier[0]
    return first


def _alike(joints: Array) -> NDArray[np.bool_]:
    """Which frames [F, F] of labels [F, N, 2] show the same pose."""
    known = np.isfinite(joints).all(-1)
    x = np.where(known[..., None], joints - 31.5, 0)
    one = known.astype(np.float64)
    both = one @ one.T
    squares = np.square(x).sum(-1)
    flat = x.reshape(len(x), -1)
    apart = squares @ one.T + one @ squares.T - 2 * flat @ flat.T
    either = one.sum(1)[:, None] + one.sum(1)[None] - both
    return np.asarray((apart <= both * ALIKE_PX**2 + 1e-6) & (both > 0) & (both >= _SHARED * either))

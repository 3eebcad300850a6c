"""Labelled frames that show one pose again: however many they are, they are the evidence of one.

Two labels of one pose differ joint by joint, by what an annotator is off by; a person who moves, be it slowly, moves
many joints one way. So frames are alike where neither the joints nor a view's joints together have moved.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_JOINT_PX = 0.6  # heatmap pixels, root mean square over the joints: two careful labels of one joint differ by 0.5
_VIEW_PX = 0.2  # of the mean over a view's joints: of 17 careful labels it differs by 0.12
_SHARED = 0.5  # of the joints labelled in either frame, to be compared at all


def first_alike(joints_view: Array) -> NDArray[np.intp]:
    """For each frame of labels [F, V, J, 2] in heatmap pixels the first frame that it is a duplicate of, or itself.

    Duplicates are compared with that first frame, so a slow motion does not become one long chain.
    """
    alike, frames = _alike(joints_view), len(joints_view)
    first = np.arange(frames)
    for frame in range(frames):
        earlier = np.flatnonzero(alike[frame, :frame] & (first[:frame] == np.arange(frame)))
        if len(earlier):
            first[frame] = earlier[0]
    return first


def _alike(joints: Array) -> Mask:
    """Which frames [F, F] of labels [F, V, J, 2] show the same pose."""
    frames = len(joints)
    known: Mask = np.all(np.isfinite(joints), axis=-1)
    both, apart, moved = np.zeros((3, frames, frames))
    for view in range(joints.shape[1]):
        there = known[:, view].astype(np.float64)
        shared = there @ there.T
        both += shared
        for axis in (0, 1):
            x = np.where(known[:, view], joints[:, view, :, axis] - 31.5, 0)  # centred, or squares lose digits
            squares, sums = np.square(x) @ there.T, x @ there.T
            apart += squares + squares.T - 2 * x @ x.T
            moved += np.square(sums - sums.T) / np.maximum(shared, 1)
    either = known.sum((1, 2))[:, None] + known.sum((1, 2))[None] - both
    still: Mask = (apart <= both * _JOINT_PX**2 + 1e-6) & (moved <= both * _VIEW_PX**2 + 1e-6)
    return still & (both > 0) & (both >= _SHARED * either)

"""What can be wrong with R of itself: how far it is from a rotation, and whether it mirrors."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.inspection.findings import Finding, error, replaced
from models.inspection.reading import Draft
from models.inspection.readings import meeting

Array = NDArray[np.float64]
_EXACT = 1e-3  # what a rig is held to
_NEAR = 0.1  # beyond, the nearest rotation is a guess
_FLIPS = {"y": np.diag([1.0, -1.0, 1.0]), "z": np.diag([1.0, 1.0, -1.0])}


def nearest(R: Array) -> Array:
    """The nearest orthogonal matrix [3, 3], of the same handedness."""
    u, _, v = np.linalg.svd(R)
    return np.asarray(u @ v)


def check_rotations(draft: Draft, half_angles: Array) -> Iterator[Finding]:
    """Findings on each R, and on mirrored axes, which most often are those of all cameras."""
    mirrored = []
    for station in draft.stations:
        if station.R is None:
            continue
        off = float(np.abs(nearest(station.R) - station.R).max())
        if off > _EXACT / 2 and not np.allclose(station.R @ station.R.T, np.eye(3), atol=_EXACT):
            yield _no_rotation(station.index, station.R, off)
        elif np.linalg.det(station.R) < 0:
            mirrored.append(station.index)
    if mirrored:
        yield _mirrored(draft, mirrored, half_angles)


def _no_rotation(index: int, R: Array, off: float) -> Finding:
    change = None
    if off < _NEAR and np.linalg.det(R) > 0:
        change = replaced("Take the nearest rotation", {f"/cameras/{index}/R": nearest(R).tolist()})
    lengths = np.linalg.norm(R, axis=1)
    told = f"its rows are {', '.join(f'{length:.4g}' for length in lengths)} long" if (
        np.abs(lengths - 1).max() > _EXACT / 2) else "its rows are not at right angles"  # fmt: skip
    sentence = f"R is not a rotation: {told}, and its entries are up to {off:.2g} from the nearest one."
    return error("no_rotation", sentence, cameras=[index], at=f"cameras[{index}].R", change=change)


def _mirrored(draft: Draft, mirrored: Sequence[int], half_angles: Array) -> Finding:
    every = len(mirrored) == len(draft.stations)
    sentence = "R mirrors: its determinant is −1" + (", for every camera. " if every else ". ")
    sentence += "Camera axes are x right, y down, z forward."
    values = {}
    if every and len(half_angles) == len(draft.stations):  # all of them are placed
        R = np.stack([nearest(station.R) for station in draft.stations if station.R is not None])
        t = np.stack([station.t for station in draft.stations if station.t is not None])
        axis = max(_FLIPS, key=lambda name: _quality(R, t, _FLIPS[name], half_angles))
        for index in mirrored:
            values[f"/cameras/{index}/R"] = (_FLIPS[axis] @ R[index]).tolist()
            values[f"/cameras/{index}/t"] = (_FLIPS[axis] @ t[index]).tolist()
        change = replaced(f"Turn the cameras' {axis} axis round", values)
    return error("mirrored", sentence, cameras=mirrored, at=f"cameras[{mirrored[0]}].R",
                 change=change if values else None)  # fmt: skip


def _quality(R: Array, t: Array, flip: Array, half_angles: Array) -> float:
    return meeting(flip @ R, t @ flip, half_angles).quality

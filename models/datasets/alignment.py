"""Recordings of one studio in one world: publishers calibrate anew for every subject or session.

The cameras of Human3.6M stand at almost the same places for all its subjects, but each subject has a world of its own.
A rigid motion brings a recording's world to the reference's, so that its joints can be compared there. What remains
between the cameras is how far they really moved, and stays.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.datasets.sequence import Sequence
from models.errors import DatasetError
from models.rig import Rig

Array = NDArray[np.float64]
_MAX_TURN_DEGREES = 10.0  # farther off, it is another studio and not the same one calibrated again


def world_motion(reference: Rig, rig: Rig) -> tuple[Array, Array]:
    """(Q [3, 3], s [3]) with ``X_reference = Q·X + s`` that brings the cameras nearest to those of the reference.

    Orthogonal Procrustes (Schönemann 1966) on the cameras' axes and, scaled to the same weight, their centres.
    """
    axes = sum(a.R.T @ b.R for a, b in zip(reference.cameras, rig.cameras, strict=True))
    there = np.stack([camera.centre for camera in reference.cameras])
    here = np.stack([camera.centre for camera in rig.cameras])
    spread = np.square(there - there.mean(0)).sum() / len(there)
    M = axes + (there - there.mean(0)).T @ (here - here.mean(0)) / max(spread, 1e-12)
    U, _, Vt = np.linalg.svd(M)
    Q = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    return Q, there.mean(0) - Q @ here.mean(0)


def in_world_of(reference: Rig, sequence: Sequence) -> Sequence:
    """The recording with its cameras and joints in the reference's world; raises DatasetError for another studio."""
    if [c.id for c in reference.cameras] != [c.id for c in sequence.rig.cameras]:
        raise DatasetError(f"{sequence.name} has other cameras than the first recording.", at=sequence.name)
    pairs = list(zip(reference.cameras, sequence.rig.cameras, strict=True))
    if all(np.array_equal(a.R, b.R) and np.array_equal(a.t, b.t) for a, b in pairs):
        return sequence
    Q, s = world_motion(reference, sequence.rig)
    R = np.stack([camera.R @ Q.T for camera in sequence.rig.cameras])
    t = np.stack([camera.t - r @ s for camera, r in zip(sequence.rig.cameras, R, strict=True)])
    turned = np.einsum("vii->v", R @ np.stack([c.R for c in reference.cameras]).swapaxes(1, 2))
    angle = np.degrees(np.arccos(np.clip((turned - 1) / 2, -1, 1))).max()
    if angle > _MAX_TURN_DEGREES:
        raise DatasetError(
            f"{sequence.name} was recorded by cameras turned by up to {angle:.0f}° against those of the first "
            "recording: put recordings of one calibration under one root.",
            at=sequence.name,
        )
    cameras = tuple(c.with_pose(r, u) for c, r, u in zip(sequence.rig.cameras, R, t, strict=True))
    return replace(sequence, rig=replace(sequence.rig, cameras=cameras), joints=sequence.joints @ Q.T + s)

"""Calibrations written in another convention, and changes applied, as a page would."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from models.inspection import Finding

Pose = tuple[np.ndarray, np.ndarray]
_GL = np.diag([1.0, -1.0, -1.0])
_Y, _Z = np.diag([1.0, -1.0, 1.0]), np.diag([1.0, 1.0, -1.0])
POSES: dict[str, Callable[[np.ndarray, np.ndarray], Pose]] = {
    "camera-to-world": lambda R, t: (R.T, -R.T @ t),
    "OpenGL": lambda R, t: (_GL @ R, _GL @ t),
    "camera-to-world in OpenGL's axes": lambda R, t: (R.T @ _GL, -R.T @ t),
    "centres": lambda R, t: (R, -R.T @ t),
    "mirrored y": lambda R, t: (_Y @ R, _Y @ t),
    "mirrored z": lambda R, t: (_Z @ R, _Z @ t),
}


def spoiled(document: dict[str, Any], pose: Callable[[np.ndarray, np.ndarray], Pose]) -> dict[str, Any]:
    """The document with every pose written another way."""
    written = copy.deepcopy(document)
    for camera in written["cameras"]:
        R, t = pose(np.array(camera["R"]), np.array(camera["t"]))
        camera["R"], camera["t"] = R.tolist(), t.tolist()
    return written


def changed(document: dict[str, Any], finding: Finding) -> dict[str, Any]:
    """The document after the change that a finding proposes."""
    assert finding.change is not None, finding
    written = copy.deepcopy(document)
    for edit in finding.change.edits:
        *steps, last = edit.path.removeprefix("/").split("/")
        place: Any = written
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place[step]
        place[int(last) if isinstance(place, list) else last] = edit.value
    return written

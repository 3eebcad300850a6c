"""One body for all sources of motion: named joints in, every joint that a joint set may ask for out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.motion import SAME, both_sides
from models.skeletons import Skeleton

Array = NDArray[np.float64]

BODY = ("pelvis", *(joint for joint, _ in both_sides()))
REQUIRED = tuple(
    f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
LEG_M = 0.86  # thigh and shin of the body that random_motion moves
HEAD = ("head_base", "head", "nose", "left_eye", "right_eye", "left_ear", "right_ear")
FOOT = ("heel", "big_toe", "small_toe")


@dataclass(frozen=True)
class Clip:
    """A take of one person: ``joints`` [F, len(BODY), 3] in metres, z up, the floor at 0; ``fps`` frames a second."""

    name: str
    fps: float
    joints: Array

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return (len(self.joints) - 1) / self.fps


def indices(skeleton: Skeleton) -> list[int]:
    """Where the joints of a joint set stand in ``BODY``."""
    return [BODY.index(SAME.get(joint, joint)) for joint in skeleton.joints]


def mirrored() -> list[int]:
    """For each joint of ``BODY`` the same joint of the other side."""
    swap = {"left": "right", "right": "left"}
    return [BODY.index("_".join(swap.get(part, part) for part in joint.split("_"))) for joint in BODY]


def clip(name: str, fps: float, named: dict[str, Array]) -> Clip:
    """A clip from joints [F, 3] by name, z up, in any unit: completed, brought to a common size and onto the floor.

    Raises InvalidInput, naming the joint, where a limb's joint is missing, and where no frame is whole.
    """
    for joint in REQUIRED:
        if joint not in named:
            raise InvalidInput(f"{name}: no joint could be read as {joint}.", at=joint, code="invalid_motion")
    if not (np.isfinite(fps) and fps > 0):
        raise InvalidInput(f"{name}: {fps} frames a second is not a rate.", at="fps", code="invalid_motion")
    whole = np.all([np.isfinite(joint).all(-1) for joint in named.values()], axis=0)
    if not whole.any():
        raise InvalidInput(f"{name}: no frame has all its joints.", at="joints", code="invalid_motion")
    kept = {joint: positions[whole] for joint, positions in named.items()}
    size = _leg(kept) / LEG_M
    if size < 1e-9:
        raise InvalidInput(f"{name}: the legs have no length.", at="left_knee", code="invalid_motion")
    full = complete({joint: positions / size for joint, positions in kept.items()})
    joints = np.stack([full[joint] for joint in BODY], axis=1)
    joints[..., 2] -= joints[..., 2].min()
    return Clip(name, fps, joints)


def _leg(named: dict[str, Array]) -> float:
    """Length of thigh and shin, the median of frames and sides."""
    lengths = [
        np.linalg.norm(named[f"{side}_hip"] - named[f"{side}_knee"], axis=1)
        + np.linalg.norm(named[f"{side}_knee"] - named[f"{side}_ankle"], axis=1)
        for side in ("left", "right")
    ]
    return float(np.median(lengths))


def complete(named: dict[str, Array]) -> dict[str, Array]:
    """All joints of ``BODY`` [F, 3] in metres; what a source lacks of head and feet is rigid on neck and ankle."""
    joints = dict(named)
    joints.setdefault("pelvis", (joints["left_hip"] + joints["right_hip"]) / 2)
    joints.setdefault("neck", (joints["left_shoulder"] + joints["right_shoulder"]) / 2)
    joints.setdefault("spine", (joints["pelvis"] + joints["neck"]) / 2)
    left = joints["left_shoulder"] - joints["right_shoulder"]
    torso = axes(joints["neck"] - joints["pelvis"], left)
    _set(joints, HEAD, joints["neck"], _head_axes(joints, left, torso), "neck")
    for side in ("left", "right"):
        ankle, knee = joints[f"{side}_ankle"], joints[f"{side}_knee"]
        toe = joints.get(f"{side}_big_toe")
        sideways = joints["left_hip"] - joints["right_hip"]
        frame = axes(knee - ankle, sideways) if toe is None else _foot_axes(toe - ankle, knee - ankle)
        _set(joints, tuple(f"{side}_{part}" for part in FOOT), ankle, frame, f"{side}_ankle")
    return joints


def axes(up: Array, left: Array) -> Array:
    """Rotations [F, 3, 3] whose columns are right, forward and up, from an up vector and a rough left [F, 3]."""
    z = _unit(up)
    y = _unit(np.cross(left, z))
    return np.stack([np.cross(y, z), y, z], axis=-1)


def _head_axes(joints: dict[str, Array], left: Array, torso: Array) -> Array:
    """The head's rotation: up to the crown, forward to the nose, as far as the source has them."""
    up = joints["head"] - joints["neck"] if "head" in joints else torso[..., 2]
    if "left_ear" in joints and "right_ear" in joints:
        return axes(up, joints["left_ear"] - joints["right_ear"])
    if "nose" in joints:
        return axes(up, np.cross(up, joints["nose"] - joints["neck"]))
    return axes(up, left)


def _foot_axes(toe: Array, shin: Array) -> Array:
    """The foot's rotation from where the big toe lies, seen from the ankle."""
    forward = _unit(toe + 0.38 * np.linalg.norm(toe, axis=-1, keepdims=True) * _unit(shin))  # the ankle is higher
    return axes(shin - (shin * forward).sum(-1, keepdims=True) * forward, np.cross(shin, forward))


def _set(joints: dict[str, Array], wanted: tuple[str, ...], origin: Array, frame: Array, base: str) -> None:
    for joint in wanted:
        joints.setdefault(joint, origin + frame @ offset(joint, base))


def offset(joint: str, base: str) -> Array:
    """Where a joint lies from ``base``, up to which the body at rest is one rigid piece [3]: right, forward, up."""
    table, total = dict(both_sides()), np.zeros(3)
    while joint != base:
        parent, step = table[joint]
        joint, total = parent, total + np.array(step)
    return total


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)

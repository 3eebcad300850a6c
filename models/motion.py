"""Random human motion: a jointed body whose angles follow smooth random curves. No data, only a seed."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from models.skeletons import Skeleton

Array = NDArray[np.float64]

# Offsets in metres in the parent's frame at rest (x right, y forward, z up), proportions of a body 1.75 m tall
# (Winter, Biomechanics and Motor Control of Human Movement, 4th ed., fig. 4.1).
REST: dict[str, tuple[str, tuple[float, float, float]]] = {
    "spine": ("pelvis", (0, 0, 0.25)),
    "neck": ("spine", (0, 0, 0.25)),
    "head_base": ("neck", (0, 0.02, 0.10)),
    "head": ("head_base", (0, 0.02, 0.16)),
    "nose": ("head_base", (0, 0.11, 0.03)),
    "left_eye": ("head_base", (-0.032, 0.095, 0.065)),
    "left_ear": ("head_base", (-0.075, 0.01, 0.045)),
    "left_shoulder": ("neck", (-0.18, 0, -0.03)),
    "left_elbow": ("left_shoulder", (0, 0, -0.30)),
    "left_wrist": ("left_elbow", (0, 0, -0.26)),
    "left_hip": ("pelvis", (-0.10, 0, -0.03)),
    "left_knee": ("left_hip", (0, 0, -0.43)),
    "left_ankle": ("left_knee", (0, 0, -0.43)),
    "left_heel": ("left_ankle", (0, -0.05, -0.07)),
    "left_big_toe": ("left_ankle", (0.02, 0.17, -0.07)),
    "left_small_toe": ("left_ankle", (-0.05, 0.14, -0.07)),
}
SAME = {"body_centre": "pelvis", "mid_hip": "pelvis"}

# Mean and standard deviation in degrees of each joint's rotation vector (x: flexion, y: abduction, z: twist).
_ANGLES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "pelvis": ((-8, 0, 0), (12, 7, 0)),
    "spine": ((-6, 0, 0), (12, 8, 15)),
    "head_base": ((-5, 0, 0), (12, 8, 25)),
    "left_shoulder": ((25, 28, 0), (45, 32, 35)),
    "left_elbow": ((55, 0, 0), (35, 0, 25)),
    "left_hip": ((15, 8, 0), (28, 10, 12)),
    "left_knee": ((-25, 0, 0), (24, 0, 0)),
}
_SMOOTHING_FRAMES = 8.0


def random_motion(rng: np.random.Generator, frames: int, skeleton: Skeleton, *, roam: float = 0.8) -> Array:
    """Joints [frames, J, 3] in metres, z up, feet about the floor, wandering within ``roam`` metres of the origin.

    Successive frames move about as much as every sixth frame of a 60 Hz recording does.
    """
    joints = _body(rng, frames)
    order = [joints[SAME.get(name, name)] for name in skeleton.joints]
    body: Array = np.stack(order, axis=1) * rng.uniform(0.88, 1.1)
    body[..., 2] -= body[..., 2].min(axis=1, keepdims=True)
    body[..., :2] += _curve(rng, frames, 2)[:, None] * roam / 2
    return body


def _body(rng: np.random.Generator, frames: int) -> dict[str, Array]:
    heading = Rotation.from_euler("z", rng.uniform(-180, 180) + 70 * _curve(rng, frames, 1), degrees=True)
    turned = {"pelvis": heading * _rotation(rng, frames, "pelvis")}
    placed: dict[str, Array] = {"pelvis": np.zeros((frames, 3))}
    for joint, (parent, offset) in both_sides():
        if parent not in turned:
            turned[parent] = turned[_parent(parent)] * _rotation(rng, frames, parent)
        placed[joint] = placed[parent] + turned[parent].apply(np.array(offset, float))
    return placed


def both_sides() -> list[tuple[str, tuple[str, tuple[float, float, float]]]]:
    """Every joint of the body with its parent and its offset from it at rest, parents first."""
    entries = list(REST.items())
    for joint, (parent, (x, y, z)) in REST.items():
        if joint.startswith("left_"):
            mirrored = joint.replace("left_", "right_"), (parent.replace("left_", "right_"), (-x, y, z))
            entries.append(mirrored)
    return entries


def _parent(joint: str) -> str:
    return REST[joint.replace("right_", "left_")][0].replace("left_", joint.partition("_")[0] + "_")


def _rotation(rng: np.random.Generator, frames: int, joint: str) -> Rotation:
    mean, spread = _ANGLES.get(joint.replace("right_", "left_"), ((0, 0, 0), (0, 0, 0)))
    angles = np.array(mean) + np.array(spread) * _curve(rng, frames, 3)
    if joint.endswith("elbow"):
        angles[:, 0] = np.clip(angles[:, 0], 2, 145)
    if joint.endswith("knee"):
        angles[:, 0] = np.clip(angles[:, 0], -140, -2)
    if joint.startswith("right_"):
        angles[:, 1:] *= -1  # abduction moves the right arm to +x
    return Rotation.from_euler("xyz", angles, degrees=True)


def _curve(rng: np.random.Generator, frames: int, channels: int) -> Array:
    """Smooth random curves [frames, channels] of about zero mean and unit variance over many draws."""
    margin = int(4 * _SMOOTHING_FRAMES)
    noise = gaussian_filter1d(rng.standard_normal((frames + 2 * margin, channels)), _SMOOTHING_FRAMES, axis=0)
    return noise[margin : margin + frames] * np.sqrt(2 * np.sqrt(np.pi) * _SMOOTHING_FRAMES)

"""DeepMimic's motion clips: joint rotations of its humanoid, turned into joints by forward kinematics.

Format and body after Peng et al., DeepMimic (SIGGRAPH 2018): each frame holds its duration, the root's position and the
joints' rotations as quaternions (w, x, y, z) or, for elbows and knees, an angle about z. Axes: x forward, y up, z
right. The PyPI package ``pybullet`` carries fifteen clips; only these files are read, the package is never imported.
Its last wheels are for Python 3.11; elsewhere unpack one (`pip download --no-deps --only-binary :all: --python-version
3.11 pybullet`) and name the folder of its clips.
"""

import importlib.util
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.errors import InvalidInput
from models.motions.body import FOOT, HEAD, Clip, clip, offset

Array = NDArray[np.float64]

# Order in a frame after duration (1) and root position (3); 4 numbers are a quaternion, 1 is an angle about z.
_CHANNELS: Final = (
    ("pelvis", 4), ("spine", 4), ("neck", 4),
    ("right_hip", 4), ("right_knee", 1), ("right_ankle", 4), ("right_shoulder", 4), ("right_elbow", 1),
    ("left_hip", 4), ("left_knee", 1), ("left_ankle", 4), ("left_shoulder", 4), ("left_elbow", 1),
)  # fmt: skip
_NUMBERS: Final = 4 + sum(count for _, count in _CHANNELS)

# Each joint's parent and its offset from it in metres (the character humanoid3d); z is mirrored for the left side.
_OFFSETS: Final[dict[str, tuple[str, tuple[float, float, float]]]] = {
    "spine": ("pelvis", (0.0, 0.236151, 0.0)),
    "neck": ("spine", (0.0, 0.223894, 0.0)),
    "right_hip": ("pelvis", (0.0, 0.0, 0.084887)),
    "right_knee": ("right_hip", (0.0, -0.421546, 0.0)),
    "right_ankle": ("right_knee", (0.0, -0.40987, 0.0)),
    "right_shoulder": ("spine", (-0.02405, 0.2435, 0.18311)),
    "right_elbow": ("right_shoulder", (0.0, -0.274788, 0.0)),
    "right_wrist": ("right_elbow", (0.0, -0.258947, 0.0)),
}


def find_clips() -> tuple[Path, ...]:
    """The clips of the installed package ``pybullet``; raises InvalidInput where it is not installed."""
    found = importlib.util.find_spec("pybullet_data")
    folders = [] if found is None else [Path(place) for place in found.submodule_search_locations or ()]
    clips = sorted(path for folder in folders for path in folder.glob("data/motions/humanoid3d_*.txt"))
    if not clips:
        raise InvalidInput(
            "DeepMimic's clips come with the package pybullet, which is not installed: install rigfuse[motions], "
            "or name a folder that holds humanoid3d_*.txt, BVH or npz files.",
            at="motions", code="invalid_motion",
        )  # fmt: skip
    return tuple(clips)


def read_deepmimic(path: Path) -> Clip:
    """Read one clip; raises InvalidInput where it is not in this format."""
    try:
        frames = np.array(json.loads(path.read_text(encoding="utf-8"))["Frames"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path.name} is no DeepMimic clip: {error}.", at="Frames", code="invalid_motion") from error
    if frames.ndim != 2 or frames.shape[1] != _NUMBERS or not len(frames):
        raise InvalidInput(
            f"{path.name} has frames of shape {list(frames.shape)}; DeepMimic's humanoid has {_NUMBERS} numbers each.",
            at="Frames", code="invalid_motion",
        )  # fmt: skip
    seconds = float(np.median(frames[:, 0]))
    return clip(path.stem, 1 / seconds if seconds > 0 else 0.0, forward_kinematics(frames))


def forward_kinematics(frames: Array) -> dict[str, Array]:
    """Frames [F, 44] → joints [F, 3] by name, in metres, x forward, z up, y left."""
    local, start = {}, 4
    for joint, count in _CHANNELS:
        local[joint] = _rotation(frames[:, start : start + count])
        start += count
    turned, placed = {"pelvis": local["pelvis"]}, {"pelvis": frames[:, 1:4]}
    for joint, (parent, step) in _both_sides():
        placed[joint] = placed[parent] + turned[parent].apply(step)
        if joint in local:
            turned[joint] = turned[parent] * local[joint]
    for part, base in _rigid():
        placed[part] = placed[base] + turned[base].apply(offset(part, base)[[1, 2, 0]])
    return {joint: np.stack([p[:, 0], -p[:, 2], p[:, 1]], axis=1) for joint, p in placed.items()}


def _rotation(numbers: Array) -> Rotation:
    if numbers.shape[1] == 1:
        return Rotation.from_rotvec(numbers * np.array([0.0, 0.0, 1.0]))
    return Rotation.from_quat(numbers, scalar_first=True)


def _both_sides() -> list[tuple[str, tuple[str, Array]]]:
    both = []
    for joint, (parent, (x, y, z)) in _OFFSETS.items():
        both.append((joint, (parent, np.array([x, y, z]))))
        if joint.startswith("right_"):
            left = joint.replace("right_", "left_"), (parent.replace("right_", "left_"), np.array([x, y, -z]))
            both.append(left)
    return both


def _rigid() -> list[tuple[str, str]]:
    feet = [(f"{side}_{part}", f"{side}_ankle") for side in ("left", "right") for part in FOOT]
    return [(part, "neck") for part in HEAD] + feet

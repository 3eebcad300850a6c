"""Small motion files in the formats that are read, each written out here."""

import json
from textwrap import dedent

import numpy as np

IDENTITY = (1.0, 0.0, 0.0, 0.0)
ORDER = (
    "root", "chest", "neck", "right_hip", "right_knee", "right_ankle", "right_shoulder", "right_elbow",
    "left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow",
)  # fmt: skip


def turn(axis, degrees):
    """A quaternion (w, x, y, z)."""
    half = np.radians(degrees) / 2
    return (np.cos(half), *(np.sin(half) * np.eye(3)["xyz".index(axis)]))


def deepmimic_frame(position=(0.0, 0.9, 0.0), seconds=0.05, **turned):
    """One frame of a DeepMimic clip, all joints at rest but those given."""
    frame = [seconds, *position]
    for joint in ORDER:
        rest = (0.0,) if joint.endswith(("knee", "elbow")) else IDENTITY
        frame += turned.get(joint, rest)
    return frame


def write_deepmimic(path, frames):
    path.write_text(json.dumps({"Loop": "none", "Frames": [[float(x) for x in frame] for frame in frames]}))
    return path


def swing(path, frames=40, seconds=0.05):
    """A clip of a person who swings arms and legs and walks forward."""
    steps = np.sin(np.linspace(0, 4 * np.pi, frames))
    return write_deepmimic(path, [
        deepmimic_frame(
            position=(0.05 * i, 0.9, 0.0), seconds=seconds,
            left_shoulder=turn("z", 40 * s), right_shoulder=turn("z", -40 * s),
            left_hip=turn("z", -30 * s), right_hip=turn("z", 30 * s), left_knee=(-0.4 - 0.3 * s,),
        )
        for i, s in enumerate(steps)
    ])  # fmt: skip


def _limb(names, offsets, depth):
    """A chain of BVH joints; the last offset is the end site's."""
    pad = "  " * depth
    if not names:
        return f"{pad}End Site\n{pad}{{\n{pad}  OFFSET {offsets[0]}\n{pad}}}\n"
    head = (
        f"{pad}JOINT {names[0]}\n{pad}{{\n{pad}  OFFSET {offsets[0]}\n{pad}  CHANNELS 3 Zrotation Xrotation Yrotation\n"
    )
    return head + _limb(names[1:], offsets[1:], depth + 1) + f"{pad}}}\n"


BVH_JOINTS = (
    "Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot", "Spine", "Neck", "Head",
    "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "RightShoulder", "RightArm", "RightForeArm", "RightHand",
)  # fmt: skip


def bvh(rotations, *, prefix="", rename=None, frame_time=0.025):
    """A BVH in centimetres, y up, of a T-pose; ``rotations`` per frame map a joint to its (Z, X, Y) degrees."""
    legs = "".join(
        _limb([f"{side}UpLeg", f"{side}Leg", f"{side}Foot"], [f"{x} -5 0", "0 -40 0", "0 -40 0", "0 -5 15"], 1)
        for side, x in (("Left", 10), ("Right", -10))
    )
    arms = "".join(
        _limb(
            [f"{side}Shoulder", f"{side}Arm", f"{side}ForeArm", f"{side}Hand"],
            [f"{4 * x} 20 0", f"{14 * x} 0 0", f"{28 * x} 0 0", f"{25 * x} 0 0", f"{15 * x} 0 0"],
            2,
        )
        for side, x in (("Left", 1), ("Right", -1))
    )
    head = _limb(["Neck", "Head"], ["0 25 0", "0 10 0", "0 18 0"], 2)
    hierarchy = dedent("""\
        HIERARCHY
        ROOT Hips
        {
          OFFSET 0 0 0
          CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
        """) + legs + (
        "  JOINT Spine\n  {\n    OFFSET 0 25 0\n    CHANNELS 3 Zrotation Xrotation Yrotation\n"
        + head + arms + "  }\n}\n"
    )  # fmt: skip
    lines = [
        " ".join(["0 90 0"] + [" ".join(str(a) for a in frame.get(joint, (0, 0, 0))) for joint in BVH_JOINTS])
        for frame in rotations
    ]
    for old, new in (rename or {}).items():
        hierarchy = hierarchy.replace(f" {old}\n", f" {new}\n")
    for joint in BVH_JOINTS if prefix else ():
        hierarchy = hierarchy.replace(f" {joint}\n", f" {prefix}{joint}\n")
    motion = f"MOTION\nFrames: {len(lines)}\nFrame Time: {frame_time}\n" + "\n".join(lines) + "\n"
    return hierarchy + motion

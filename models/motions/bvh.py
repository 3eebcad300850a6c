"""BVH motion: the hierarchy is parsed, and its channels become joints by forward kinematics.

The format is Biovision's: HIERARCHY of ROOT, JOINT and End Site with OFFSET and CHANNELS, then MOTION with one line of
numbers a frame. Rotations are in degrees and apply in the order in which a joint lists them. The unit is not part of
the format; ``body.clip`` brings every body to one size.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.errors import InvalidInput
from models.motions.body import Clip, clip
from models.motions.names import match, upright

Array = NDArray[np.float64]


@dataclass
class Node:
    """A joint: ``parent`` is its index, or −1; channels are such as Xposition and Zrotation."""

    name: str
    parent: int
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    channels: list[str] = field(default_factory=list)


def read_bvh(path: Path, up: str | None = None) -> Clip:
    """Read one clip; ``up`` is y or z, or told from the body. Raises InvalidInput naming the line or the joint."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}.", code="invalid_motion") from error
    try:
        nodes, seconds, motion = parse(text)
    except (ValueError, IndexError, StopIteration) as error:
        raise InvalidInput(f"{path.name} is no BVH: {error}.", at="HIERARCHY", code="invalid_motion") from error
    places = forward_kinematics(nodes, motion)
    named = {joint: places[name] for joint, name in match([node.name for node in nodes], path.name).items()}
    up = up or told_up(named)
    return clip(path.stem, 1 / seconds if seconds > 0 else 0.0, {j: upright(p, up) for j, p in named.items()})


def parse(text: str) -> tuple[list[Node], float, Array]:
    """Nodes, parents before children, the seconds between frames, and the channels' numbers [F, C]."""
    head, found, tail = text.partition("MOTION")
    if not found or not head.strip().startswith("HIERARCHY"):
        raise ValueError("it needs the sections HIERARCHY and MOTION")
    nodes = _nodes(iter(head.split()[1:]))
    counts = re.match(r"\s*Frames:\s*(\d+)\s+Frame Time:\s*(\S+)", tail)
    if counts is None:
        raise ValueError("MOTION must begin with Frames: and Frame Time:")
    numbers = np.array(tail[counts.end() :].split(), np.float64)
    channels = sum(len(node.channels) for node in nodes)
    frames = int(counts[1])
    if frames < 1 or numbers.size != frames * channels:
        raise ValueError(f"{frames} frames of {channels} channels need {frames * channels} numbers, not {numbers.size}")
    return nodes, float(counts[2]), numbers.reshape(frames, channels)


def _nodes(words: Iterator[str]) -> list[Node]:
    nodes: list[Node] = []
    stack: list[int] = []
    for word in words:
        if word in {"ROOT", "JOINT"}:
            nodes.append(Node(next(words), stack[-1] if stack else -1))
        elif word == "End":
            next(words)
            nodes.append(Node(f"{nodes[stack[-1]].name}_end", stack[-1]))
        elif word == "{":
            stack.append(len(nodes) - 1)
        elif word == "}":
            stack.pop()
        elif word == "OFFSET":
            nodes[-1].offset = tuple(float(next(words)) for _ in range(3))
        elif word == "CHANNELS":
            nodes[-1].channels = [next(words) for _ in range(int(next(words)))]
        else:
            raise ValueError(f"{word!r} is not expected in the hierarchy")
    if stack or not nodes:
        raise ValueError("its braces do not match")
    return nodes


def forward_kinematics(nodes: list[Node], motion: Array) -> dict[str, Array]:
    """Positions [F, 3] by node name, in the file's own axes and unit."""
    turned: list[Rotation] = []
    placed: list[Array] = []
    start = 0
    for node in nodes:
        columns = dict(zip(node.channels, motion[:, start : start + len(node.channels)].T, strict=True))
        start += len(node.channels)
        moved = np.stack(
            [
                columns.get(f"{axis}position", np.full(len(motion), o))
                for axis, o in zip("XYZ", node.offset, strict=True)
            ],
            axis=1,
        )
        turns = [channel for channel in node.channels if channel.endswith("rotation")]
        local = Rotation.identity(len(motion))
        for channel in turns:
            axis = channel[0].lower()
            local = local * Rotation.from_euler(axis, columns[channel][:, None], degrees=True)
        if node.parent < 0:
            placed.append(moved)
            turned.append(local)
        else:
            placed.append(placed[node.parent] + turned[node.parent].apply(moved))
            turned.append(turned[node.parent] * local)
    return {node.name: place for node, place in zip(nodes, placed, strict=True)}


def told_up(named: dict[str, Array]) -> str:
    """The axis along which shoulders stand above ankles over most of the clip: y or z."""
    high = named["left_shoulder"] + named["right_shoulder"] - named["left_ankle"] - named["right_ankle"]
    mean = np.median(high, axis=0)
    return "z" if mean[2] > max(mean[1], 0.0) else "y"

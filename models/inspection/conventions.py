"""Whether the poses are written as they are read: another reading must bring the cameras together much better."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.inspection.findings import Finding, error, replaced, warning
from models.inspection.readings import AS_WRITTEN, OTHERS, Meeting, Reading, meeting

Array = NDArray[np.float64]
_SURELY = 0.5
# By the number of cameras: how much worse the reading as written must be. Few cameras meet somewhere by chance.
_WORSE = {2: 0.25, 3: 0.65}
_WORSE_OF_MANY = 0.8
_GOOD = 0.5
_SHARE_IN_VOLUME = 0.75


def check_conventions(
    indices: list[int], R: Array, t: Array, half_angles: Array, volume: tuple[Array, Array] | None
) -> Iterator[Finding]:
    """At most one finding: the reading that is more likely meant. R [V, 3, 3] are rotations."""
    written = meeting(R, t, half_angles)
    middle = None if volume is None else (volume[0] + volume[1]) / 2
    aimed = None if middle is None else _share_aimed(R, t, half_angles, middle)
    if aimed is not None and aimed >= _SHARE_IN_VOLUME and len(R) == 2:
        return
    read = [(other, meeting(*other.apply(R, t), half_angles)) for other in OTHERS]
    other, better = max(read, key=lambda pair: pair[1].quality + _bonus(pair[0], R, t, half_angles, middle))
    ratio = written.quality / max(better.quality, 1e-9)
    misses_volume = aimed is not None and aimed < 0.5 and _bonus(other, R, t, half_angles, middle) > 0.9
    if better.quality < _GOOD or (ratio > _WORSE.get(len(R), _WORSE_OF_MANY) and not misses_volume):
        return
    yield _finding(indices, other.apply(R, t), other, (written, better), is_sure=ratio < _SURELY)


def _bonus(reading: Reading, R: Array, t: Array, half_angles: Array, middle: Array | None) -> float:
    return 0.0 if middle is None else _share_aimed(*reading.apply(R, t), half_angles, middle)


def _share_aimed(R: Array, t: Array, half_angles: Array, place: Array) -> float:
    """The share of cameras in whose image ``place`` would be."""
    seen = R @ place + t
    off = np.arccos(np.clip(seen[:, 2] / np.maximum(np.linalg.norm(seen, axis=1), 1e-12), -1, 1))
    return float((off < half_angles).mean())


def _finding(
    indices: list[int], poses: tuple[Array, Array], other: Reading, meetings: tuple[Meeting, Meeting], *, is_sure: bool
) -> Finding:
    turned, moved = poses
    written, better = meetings
    values = {}
    for place, index in enumerate(indices):
        values[f"/cameras/{index}/R"] = turned[place].tolist()
        values[f"/cameras/{index}/t"] = moved[place].tolist()
    sentence = (
        f"Read as written ({AS_WRITTEN.name}), {_count(written)} look at a common place from different sides; read as "
        f"{other.name}, {_count(better)} do. Which is it?"
    )
    tell = error if is_sure else warning
    return tell("pose_convention", sentence, cameras=indices, at="cameras",
                change=replaced(f"Read the poses as {other.name}", values))  # fmt: skip


def _count(place: Meeting) -> str:
    together = int(place.seen.sum()) if place.quality > 0.3 else 0
    return f"{together or 'none'} of {len(place.seen)} cameras"

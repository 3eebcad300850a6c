"""Reading a calibration that may be wrong: what can be read of each camera, and what cannot, with its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.inspection.findings import Change, Finding, error, replaced
from models.rig import METRES

Array = NDArray[np.float64]
_LARGEST = 1e9  # as on the wire: no product of two such numbers overflows
_SHAPES: dict[str, tuple[int, ...]] = {"K": (3, 3), "R": (3, 3), "t": (3,)}
_UNITS = {
    "metre": "m", "metres": "m", "meter": "m", "meters": "m", "centimetre": "cm", "centimetres": "cm",
    "centimeter": "cm", "centimeters": "cm", "millimetre": "mm", "millimetres": "mm", "millimeter": "mm",
    "millimeters": "mm",
}  # fmt: skip


@dataclass(frozen=True)
class Station:
    """A camera as far as it could be read; what could not be is None."""

    index: int
    id: str
    width: int | None
    height: int | None
    K: Array | None
    dist: Array | None
    model: str
    R: Array | None
    t: Array | None

    @property
    def has_lens(self) -> bool:
        """Whether the directions that it sees are known."""
        return self.width is not None and self.height is not None and self.K is not None


@dataclass(frozen=True)
class Draft:
    """A document as far as it could be read; ``metres`` is the length of its unit."""

    stations: tuple[Station, ...]
    units: str
    up: Array | None
    volume: tuple[Array, Array] | None

    @property
    def metres(self) -> float:
        """Length of the unit in metres."""
        return METRES[self.units]


def read(document: Mapping[str, Any]) -> tuple[Draft, list[Finding]]:
    """The draft, and what could not be read of it."""
    found: list[Finding] = []
    entries = document.get("cameras")
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        found.append(error("malformed", "A calibration has a list of cameras.", at="cameras"))
        entries = ()
    stations = tuple(_station(index, entry, found) for index, entry in enumerate(entries))
    _check_ids(stations, found)
    if not isinstance(document.get("joints", ""), str):
        found.append(error("malformed", "joints names a skeleton.", at="joints"))
    return Draft(stations, _units(document, found), _up(document, found), _volume(document, found)), found


def _station(index: int, entry: Any, found: list[Finding]) -> Station:
    place = f"cameras[{index}]"
    if not isinstance(entry, Mapping):
        found.append(error("malformed", "A camera is an object with id, width, height, K, dist, R and t.",
                           cameras=[index], at=place))  # fmt: skip
        return Station(index, f"#{index + 1}", None, None, None, None, "opencv", None, None)
    name = entry.get("id")
    if not isinstance(name, str) or not name:
        found.append(error("malformed", "This camera has no id; it is a text.", cameras=[index], at=f"{place}.id"))
        name = f"#{index + 1}"
    width, height = (_pixels(index, entry, side, found) for side in ("width", "height"))
    K, R, t = (_matrix(index, entry, member, found) for member in ("K", "R", "t"))
    model = entry.get("model", "opencv")
    if model not in ("opencv", "fisheye"):
        found.append(error("malformed", "The camera model is opencv or fisheye.", cameras=[index], at=f"{place}.model"))
        model = "opencv"
    return Station(index, name, width, height, K, _dist(index, entry, found), model, R, t)


def _pixels(index: int, entry: Mapping[str, Any], side: str, found: list[Finding]) -> int | None:
    value = entry.get(side)
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 65_535 and value == int(value):
        return int(value)
    sentence = f"The image's {side} is missing." if value is None else f"The image's {side} is no number of pixels."
    found.append(error("malformed", sentence, cameras=[index], at=f"cameras[{index}].{side}"))
    return None


def _matrix(index: int, entry: Mapping[str, Any], member: str, found: list[Finding]) -> Array | None:
    """K, R or t in its shape; another shape that holds the same numbers is read, and told with what to write."""
    place, shape = f"cameras[{index}].{member}", _SHAPES[member]
    value = numbers(entry.get(member))
    if value is None:
        what = "is missing" if entry.get(member) is None else "does not hold finite numbers in rows of one length"
        found.append(error("malformed", f"{member} {what}.", cameras=[index], at=place))
        return None
    if value.shape == shape:
        return value
    told = f"{member} has shape {_text(value.shape)}; expected {_text(shape)}."
    read_as = _reshaped(member, value)
    change = None
    if read_as is not None:
        told += " It is a rotation vector." if member == "R" and value.size == 3 else ""
        change = replaced(f"Write {member} in its shape", {f"/cameras/{index}/{member}": read_as.tolist()})
    found.append(error("malformed", told, cameras=[index], at=place, change=change))
    return read_as


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "of one number"


def _reshaped(member: str, value: Array) -> Array | None:
    if member == "R" and value.size == 3:
        from scipy.spatial.transform import Rotation  # noqa: PLC0415 - rarely needed

        return np.asarray(Rotation.from_rotvec(value.ravel()).as_matrix())
    size = int(np.prod(_SHAPES[member]))
    return value.reshape(_SHAPES[member]) if value.size == size else None


def _dist(index: int, entry: Mapping[str, Any], found: list[Finding]) -> Array | None:
    place, given = f"cameras[{index}].dist", entry.get("dist", [])
    value = np.zeros(0) if given in ([], None) else numbers(given)
    lengths = (0, 4) if entry.get("model") == "fisheye" else (0, 4, 5, 8)
    if value is None:
        found.append(error("malformed", "dist does not hold finite numbers.", cameras=[index], at=place))
        return None
    if value.ndim == 1 and len(value) in lengths:
        return value
    flat = value.ravel()
    fitting = next((n for n in lengths[1:] if n >= len(flat) or not flat[n:].any()), None)
    told = f"dist has {len(flat)} coefficients" if value.ndim == 1 else "dist is not a plain list"
    told += f"; {entry.get('model', 'opencv')} takes {' or '.join(map(str, lengths[1:]))}."
    kept = None if fitting is None else np.resize(np.append(flat, np.zeros(8)), max(fitting, len(flat)))[:fitting]
    change = None if kept is None else replaced("Write dist as it is taken", {f"/cameras/{index}/dist": kept.tolist()})
    found.append(error("malformed", told, cameras=[index], at=place, change=change))
    return kept


def _check_ids(stations: Sequence[Station], found: list[Finding]) -> None:
    seen: dict[str, int] = {}
    for station in stations:
        first = seen.setdefault(station.id, station.index)
        if first != station.index:
            found.append(error("camera_twice", f"The camera id {station.id!r} is used twice.",
                               cameras=[first, station.index], at=f"cameras[{station.index}].id"))  # fmt: skip


def _units(document: Mapping[str, Any], found: list[Finding]) -> str:
    given = document.get("units", "m")
    if isinstance(given, str) and given in METRES:
        return given
    meant = _UNITS.get(given.strip().lower()) if isinstance(given, str) else None
    change: Change | None = replaced(f"Write {meant}", {"/units": meant}) if meant else None
    found.append(error("malformed", "The unit is m, cm or mm.", at="units", change=change))
    return meant or "m"


def _up(document: Mapping[str, Any], found: list[Finding]) -> Array | None:
    if document.get("up") is None:
        return None
    up = numbers(document["up"])
    if up is None or up.shape != (3,) or not up.any():
        found.append(error("malformed", "up is a direction of three numbers, such as [0, 0, 1].", at="up"))
        return None
    return up / np.linalg.norm(up)


def _volume(document: Mapping[str, Any], found: list[Finding]) -> tuple[Array, Array] | None:
    given = document.get("volume")
    if given is None:
        return None
    corners = [numbers(given.get(name)) if isinstance(given, Mapping) else None for name in ("min", "max")]
    low, high = corners
    if low is None or high is None or low.shape != (3,) or high.shape != (3,):
        found.append(error("malformed", "volume has min and max, three numbers each.", at="volume"))
        return None
    if (low < high).all():
        return low, high
    change = None
    if (low != high).all():
        ends = {"/volume/min": np.minimum(low, high).tolist(), "/volume/max": np.maximum(low, high).tolist()}
        change = replaced("Order the corners", ends)
    found.append(error("volume_inside_out", "volume.min must be below volume.max on every axis.",
                         at="volume", change=change))  # fmt: skip
    return None


def numbers(value: Any) -> Array | None:
    """An array of finite numbers of any shape, or None."""
    if value is None or not _is_plain(value):
        return None
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    is_sound = array.size > 0 and np.isfinite(array).all() and np.abs(array).max() <= _LARGEST
    return array if is_sound else None


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether it is numbers in lists, where a text such as "1" is none."""
    if isinstance(value, np.ndarray):
        return True
    if isinstance(value, list | tuple):
        return depth < 3 and all(_is_plain(entry, depth + 1) for entry in value)
    return isinstance(value, int | float) and not isinstance(value, bool)

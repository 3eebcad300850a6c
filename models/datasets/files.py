"""Reading the files of a data set: what is wrong with one is told with its name, the place in it, what was expected."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetError, InvalidRig
from models.rig import Camera, Rig

Array = NDArray[np.float64]


def fault(file: Path, place: str, message: str) -> DatasetError:
    """The error for a file; ``place`` is a line or a key in it, or empty for the file as a whole."""
    at = f"{file}: {place}" if place else str(file)
    return DatasetError(f"{at}: {message}", at=at)


def read_text(file: Path) -> str:
    """The text of a file; raises DatasetError where there is none."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise fault(file, "", f"cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise fault(file, "", "is not text.") from error


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file; raises DatasetError where it is none, for example because the file is cut off."""
    try:
        document = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise fault(file, "", f"is not whole JSON: {error}.") from error
    if not isinstance(document, dict):
        raise fault(file, "", "must hold a JSON object.")
    return document


def numbers(value: object, shape: tuple[int, ...], file: Path, place: str) -> Array:
    """Finite numbers of exactly this shape."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise fault(file, place, f"expected numbers of shape {shape}.") from None
    if array.shape != shape:
        raise fault(file, place, f"expected numbers of shape {shape}, found {array.shape}.")
    if not np.isfinite(array).all():
        raise fault(file, place, "holds a value that is not a finite number.")
    return array


def words(line: str, count: int, file: Path, number: int) -> Array:
    """Exactly ``count`` finite numbers of one line, which is numbered from 1."""
    found = line.split()
    if len(found) != count:
        raise fault(file, f"line {number}", f"expected {count} numbers, found {len(found)}.")
    return numbers(found, (count,), file, f"line {number}")


def camera(file: Path, place: str, **fields: Any) -> Camera:
    """A camera of these fields; an impossible one is told with the file it came from."""
    try:
        return Camera(**fields)
    except InvalidRig as error:
        raise fault(file, f"{place}, {error.at}", error.message) from error


def rig(file: Path, **fields: Any) -> Rig:
    """A rig of these fields; an impossible one is told with the file its cameras came from."""
    try:
        return Rig(**fields)
    except InvalidRig as error:
        raise fault(file, error.at or "", error.message) from error

"""What readers of formats share: an entry of the rig's document made of what a file holds, wrong or not.

A reader translates and judges nothing: what cannot be right is left as it stands, for the inspection to tell.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

Document = dict[str, Any]


def entry(camera_id: Any, size: Any, K: Any, dist: Any, *, R: Any, t: Any, model: str = "opencv") -> Document:
    """One camera of the document; ``size`` is (width, height)."""
    width, height = size if isinstance(size, list | tuple) and len(size) == 2 else (None, None)
    return {
        "id": camera_id if isinstance(camera_id, str) else str(camera_id),
        "width": whole(width),
        "height": whole(height),
        "K": K,
        "dist": flat(dist) if dist is not None else [],
        "model": model,
        "R": rotation(R),
        "t": flat(t),
    }


def whole(value: Any) -> Any:
    """1920.0 as 1920; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def flat(value: Any) -> Any:
    """A column or row of numbers as a plain list; anything else as it is."""
    if isinstance(value, list) and all(isinstance(row, list) and len(row) == 1 for row in value):
        return [row[0] for row in value]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return list(value[0])
    return value


def rotation(value: Any) -> Any:
    """A rotation vector (Rodrigues) as a matrix; anything else as it is."""
    vector = flat(value)
    if isinstance(vector, list) and len(vector) == 3 and all(is_number(each) for each in vector):
        angle = np.array(vector, np.float64)
        return Rotation.from_rotvec(angle).as_matrix().tolist() if np.abs(angle).max() < 1e3 else value
    return value


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def name_of(table: Mapping[str, Any], otherwise: str) -> Any:
    """The name that a camera's table gives it, or that of the table."""
    name = table.get("name")
    return name if isinstance(name, str | int) and str(name).strip() else otherwise

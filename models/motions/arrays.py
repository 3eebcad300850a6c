"""A user's own motion as npz: ``joints`` [F, J, 3] in metres, ``names`` [J], ``fps``, and ``up`` (z if not said)."""

import zipfile
from pathlib import Path

import numpy as np

from models.errors import InvalidInput
from models.motions.body import Clip, clip
from models.motions.names import match, upright


def read_arrays(path: Path) -> Clip:
    """Read one clip.

    ``names`` are the project's (left_shoulder, …) or common aliases of them; ``up`` is ``"y"`` or ``"z"``. Frames that
    hold NaN are left out. Raises InvalidInput, naming the key or the joint.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in ("joints", "names", "fps")}
            up = str(file["up"]) if "up" in file else "z"
    except KeyError as error:
        raise _unfit(path, f"has no array {error}; joints, names and fps are needed", str(error).strip("'")) from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise _unfit(path, f"is no npz of plain arrays: {error}", "joints") from error
    joints, names = data["joints"], [str(name) for name in data["names"].ravel()]
    if joints.ndim != 3 or joints.shape[2] != 3 or joints.shape[1] != len(names) or not len(joints):
        raise _unfit(path, f"has joints {list(joints.shape)} for {len(names)} names; expected [F, J, 3]", "joints")
    if not np.issubdtype(joints.dtype, np.number) or data["fps"].size != 1:
        raise _unfit(path, "must hold numbers in joints and one number in fps", "joints")
    if up not in {"y", "z"}:
        raise _unfit(path, f"has up = {up!r}; y and z are known", "up")
    places = {name: joints[:, i].astype(np.float64) for i, name in enumerate(names)}
    named = {joint: upright(places[name], up) for joint, name in match(names, path.name).items()}
    return clip(path.stem, float(data["fps"].item()), named)


def _unfit(path: Path, reason: str, at: str) -> InvalidInput:
    return InvalidInput(f"{path.name} {reason}.", at=at, code="invalid_motion")

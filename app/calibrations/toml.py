"""Calibrations of Pose2Sim, Anipose, FreeMoCap and Caliscope: TOML with one table a camera.

All write OpenCV's conventions: ``size`` (width, height), ``matrix``, ``distortions``, ``rotation`` (a rotation vector,
or a matrix) and ``translation`` from the world to the camera, ``fisheye``. None names a unit: Pose2Sim writes metres,
the others whatever their board was measured in, mostly millimetres.
"""

import tomllib
from typing import Any

from app.calibrations.cameras import Document, entry, name_of
from models.errors import InvalidInput

_LARGEST = 256 << 10
_MOST_DOTS = 100  # in a line: a key of many parts, a.b.c…, is read in a time that grows with the square of their number


def reads(text: str) -> bool:
    """Whether it is TOML with tables of cameras."""
    return "matrix" in text and "[" in text and not text.lstrip().startswith(("{", "<", "%"))


def read(text: str) -> Document:
    """The document; raises InvalidInput with the line at fault."""
    if len(text) > _LARGEST or any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
        raise InvalidInput(
            f"A calibration in TOML has at most {_LARGEST:,} characters, and {_MOST_DOTS} dots in a line.", at="body"
        )
    try:
        content = tomllib.loads(text)
    except ValueError as error:  # also of an integer without end
        raise InvalidInput(f"The calibration is not TOML that can be read: {error}.", at="body") from error
    tables = {**content, **_nested(content)}
    cameras = [
        _camera(name, table)
        for name, table in tables.items()
        if isinstance(table, dict) and "matrix" in table and table.get("ignore") is not True
    ]
    if not cameras:
        raise InvalidInput("The TOML has no table with a matrix, as [cam_0] of Pose2Sim or Anipose.", at="body")
    return {"units": "m", "cameras": cameras}


def _nested(content: dict[str, Any]) -> dict[str, Any]:
    """The tables of ``[cameras.0]``, as newer files of Caliscope write them."""
    inner = content.get("cameras")
    return {f"cam_{name}": table for name, table in inner.items()} if isinstance(inner, dict) else {}


def _camera(name: str, table: dict[str, Any]) -> Document:
    return entry(
        name_of(table, name),
        table.get("size"),
        table.get("matrix"),
        table.get("distortions"),
        R=table.get("rotation"),
        t=table.get("translation"),
        model="fisheye" if table.get("fisheye") is True else "opencv",
    )

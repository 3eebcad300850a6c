"""YAML as OpenCV's FileStorage writes it: a stereo calibration, or EasyMocap's ``intri.yml`` and ``extri.yml`` in one.

A stereo calibration names M1, D1, M2, D2, R and T, the second camera seen from the first. EasyMocap names its cameras
in ``names`` and writes, for each, K_, dist_, R_ (a rotation vector) or Rot_ (a matrix), T_, and newer versions H_, W_.
"""

import re
from typing import Any

import numpy as np
import yaml

from app.calibrations.cameras import Document, entry
from models.errors import InvalidInput

_LARGEST = 128 << 10  # it is read slowly, and no calibration is so long
_LONGEST = 1000  # characters of one value: sixtieths, such as 1:30:00, are read in a time that grows with their square
_HEAD = re.compile(r"^(%YAML.*|---.*)$", re.MULTILINE)
_NEITHER = "The YAML is no stereo calibration (M1, D1, M2, D2, R, T) and has no names with K_, R_ and T_ of each."


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no annotations
    """Reads matrices; refuses aliases, with which a short text could become a huge one, and values without end."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases")
        return super().compose_node(parent, index)

    def construct_scalar(self, node: Any) -> Any:
        if len(node.value) > _LONGEST:
            raise yaml.YAMLError(f"a value has more than {_LONGEST:,} characters")
        return super().construct_scalar(node)


def _matrix(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    written = loader.construct_mapping(node, deep=True)
    try:
        return np.reshape(np.array(written["data"], np.float64), (written["rows"], written["cols"])).tolist()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _matrix)


def reads(text: str) -> bool:
    """Whether it is YAML with OpenCV's matrices."""
    return "!!opencv-matrix" in text


def read(text: str) -> Document:
    """The document; raises InvalidInput."""
    if len(text) > _LARGEST:
        raise InvalidInput(f"A calibration in YAML is at most {_LARGEST:,} characters long.", at="body")
    try:
        content = yaml.load(_HEAD.sub("", text), _Loader)  # noqa: S506 - it is a safe loader
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # the latter of tags that do not fit
        told = " ".join(str(error).split())[:200]
        raise InvalidInput(f"The calibration is not YAML that can be read: {told}.", at="body") from error
    if not isinstance(content, dict):
        raise InvalidInput(_NEITHER, at="body")
    if isinstance(content.get("names"), list):
        return {"units": "m", "cameras": [_named(content, str(name)) for name in content["names"]]}
    return {"units": "m", "cameras": _stereo(content)}


def _named(content: dict[str, Any], name: str) -> Document:
    return entry(
        name,
        (content.get(f"W_{name}"), content.get(f"H_{name}")),
        content.get(f"K_{name}"),
        content.get(f"dist_{name}"),
        R=content.get(f"Rot_{name}", content.get(f"R_{name}")),
        t=content.get(f"T_{name}"),
    )


def _stereo(content: dict[str, Any]) -> list[Document]:
    def first_of(*names: str) -> Any:
        return next((content[name] for name in names if name in content), None)

    size = first_of("imageSize", "image_size", "size") or [first_of("image_width"), first_of("image_height")]
    cameras = []
    for number in ("1", "2"):
        K = first_of(f"M{number}", f"cameraMatrix{number}", f"K{number}")
        dist = first_of(f"D{number}", f"distCoeffs{number}", f"dist{number}")
        if K is None:
            raise InvalidInput(_NEITHER, at="body")
        R = np.eye(3).tolist() if number == "1" else content.get("R")
        cameras.append(entry(f"cam{number}", size, K, dist, R=R, t=[0.0] * 3 if number == "1" else content.get("T")))
    return cameras

"""Qualisys' ``*.qca.txt``, which is XML.

It writes K in 64ths of a pixel (distortion coefficients as they are), the camera's centre C in millimetres, and a
rotation whose camera axes point right, up and backwards; OpenCV's point right, down and forwards. So
``R = diag(1, −1, −1) · [[r11 r12 r13], [r21 r22 r23], [r31 r32 r33]]`` and ``t = −R·C``.
"""

from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from app.calibrations.cameras import Document
from models.errors import InvalidInput

_SUBPIXELS = 64.0
_MILLIMETRES = 1000.0
_FLIP = np.diag([1.0, -1.0, -1.0])
_UP = [0.0, 0.0, 1.0]  # of Qualisys' world, as it is set up unless somebody chooses otherwise


def reads(text: str) -> bool:
    """Whether it is XML that speaks of a calibration."""
    return text.lstrip().startswith("<") and "calibration" in text


def read(text: str) -> Document:
    """The document, in metres; raises InvalidInput with the camera at fault."""
    if "<!" in text.replace("<!--", ""):
        raise InvalidInput("A Qualisys calibration declares no document type and no entities.", at="body")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - what could be abused is refused above
    except (ElementTree.ParseError, ValueError) as error:
        raise InvalidInput(f"The calibration is not XML that can be read: {error}.", at="body") from error
    nodes = root.findall("cameras/camera")
    if not nodes:
        raise InvalidInput("The calibration holds no camera: it has no cameras/camera.", at="body")
    return {"units": "m", "up": _UP, "cameras": [_read_one(index, node) for index, node in enumerate(nodes)]}


def _read_one(index: int, node: ElementTree.Element) -> Document:
    try:
        return _camera(node)
    except (KeyError, ValueError, OverflowError) as error:
        name = node.attrib.get("serial", str(index + 1))
        raise InvalidInput(
            f"Camera {name!r} of the calibration cannot be read: {error} is missing or no number.",
            at=f"cameras.camera[{index}]",
        ) from error


def _camera(node: ElementTree.Element) -> Document:
    video, transform, intrinsic = (_numbers(node, name) for name in ("fov_video", "transform", "intrinsic"))
    R = _FLIP @ np.array([[transform[f"r{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)])
    centre = np.array([transform[axis] for axis in "xyz"]) / _MILLIMETRES
    return {
        "id": node.attrib["serial"],
        "width": int(video["right"] - video["left"]) + 1,
        "height": int(video["bottom"] - video["top"]) + 1,
        "K": _intrinsics(intrinsic).tolist(),
        "dist": [
            intrinsic["radialDistortion1"], intrinsic["radialDistortion2"],
            intrinsic["tangentalDistortion1"], intrinsic["tangentalDistortion2"],  # spelt so by the file
            intrinsic["radialDistortion3"],
        ],
        "model": "opencv",
        "R": R.tolist(),
        "t": (-R @ centre).tolist(),
    }  # fmt: skip


def _intrinsics(values: dict[str, float]) -> NDArray[np.float64]:
    K = np.array([
        [values["focalLengthU"], 0.0, values["centerPointU"]],
        [0.0, values["focalLengthV"], values["centerPointV"]],
        [0.0, 0.0, _SUBPIXELS],
    ])  # fmt: skip
    return K / _SUBPIXELS


def _numbers(node: ElementTree.Element, name: str) -> dict[str, float]:
    found = node.find(name)
    if found is None:
        raise KeyError(name)
    return {key: float(value) for key, value in found.attrib.items()}

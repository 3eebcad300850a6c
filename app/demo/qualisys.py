"""Read a Qualisys calibration (``*.qca.txt``) into the camera conventions of the service.

The file writes K in 64ths of a pixel (distortion coefficients as they are), the camera's centre C in millimetres, and a
rotation whose camera axes point right, up and backwards; OpenCV's point right, down and forwards. So
``R = diag(1, −1, −1) · [[r11 r12 r13], [r21 r22 r23], [r31 r32 r33]]`` and ``t = −R·C``.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from app.demo.errors import DemoFailed
from models.rig import Camera

_SUBPIXELS = 64.0
_MILLIMETRES = 1000.0
_FLIP = np.diag([1.0, -1.0, -1.0])


def read_cameras(path: Path) -> tuple[Camera, ...]:
    """The cameras of a calibration file, in metres; raises DemoFailed where the file cannot be read."""
    try:
        root = ElementTree.fromstring(path.read_text())  # noqa: S314 - the same
        cameras = tuple(_camera(node) for node in root.iterfind("cameras/camera"))
    except (OSError, ElementTree.ParseError, AttributeError, KeyError, ValueError) as error:
        raise DemoFailed(f"{path} is not a Qualisys calibration that can be read ({error!r}).") from error
    if not cameras:
        raise DemoFailed(f"{path} holds no camera.")
    return cameras


def _camera(node: ElementTree.Element) -> Camera:
    video, transform, intrinsic = (_numbers(node.find(name)) for name in ("fov_video", "transform", "intrinsic"))
    R = _FLIP @ np.array([[transform[f"r{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)])
    centre = np.array([transform[axis] for axis in "xyz"]) / _MILLIMETRES
    return Camera(
        id=node.attrib["serial"],
        width=int(video["right"] - video["left"]) + 1,
        height=int(video["bottom"] - video["top"]) + 1,
        K=_intrinsics(intrinsic),
        dist=np.array([
            intrinsic["radialDistortion1"], intrinsic["radialDistortion2"],
            intrinsic["tangentalDistortion1"], intrinsic["tangentalDistortion2"],  # spelt so by the file
            intrinsic["radialDistortion3"],
        ]),
        R=R,
        t=-R @ centre,
    )  # fmt: skip


def _intrinsics(values: dict[str, float]) -> NDArray[np.float64]:
    K = np.array([
        [values["focalLengthU"], 0.0, values["centerPointU"]],
        [0.0, values["focalLengthV"], values["centerPointV"]],
        [0.0, 0.0, _SUBPIXELS],
    ])  # fmt: skip
    return K / _SUBPIXELS


def _numbers(node: ElementTree.Element | None) -> dict[str, float]:
    if node is None:
        raise KeyError("fov_video, transform or intrinsic")
    return {name: float(value) for name, value in node.attrib.items()}

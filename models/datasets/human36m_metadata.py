"""metadata.xml of the Human3.6M toolbox: which recording is called what, and the parameters of all cameras.

``w0`` holds 300 numbers: for camera c (0…3) and subject s (1…11) three angles and the position T in millimetres from
6·(11·c + s − 1) on, then for every camera f (2), c (2), k (3) and p (2) from 264 + 9·c on. The rotation is
``R = Rx(a₁)·Ry(a₂)·Rz(a₃)`` and ``x_cam = R·(X − T)``. Distortion is OpenCV's k1 k2 p1 p2 k3, as the paper's authors
apply it; the toolbox itself counts some terms of p only once, which is less than a pixel where people stand.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from models.datasets import files
from models.datasets.files import Array, fault
from models.rig import Camera, Rig

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
_SIZES = {"54138969": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1000, 1002)}
_SUBJECTS, _EXTRINSIC, _INTRINSIC = 11, 6, 9
_ROWS = 32  # of the mapping: 16 actions, each recorded twice; what follows them is something else


@dataclass(frozen=True)
class Metadata:
    """``names[subject, action, take]`` is the base name of a recording's files; ``w0`` [300] the camera parameters."""

    file: Path
    names: dict[tuple[int, int, int], str]
    w0: Array

    def rig(self, subject: int, cameras: tuple[str, ...] = CAMERAS) -> Rig:
        """The rig as it stood for a subject, in millimetres, z pointing up."""
        if unknown := sorted(set(cameras) - set(CAMERAS)):
            raise fault(self.file, "dbcameras", f"has no camera {', '.join(unknown)}: it has {', '.join(CAMERAS)}.")
        found = tuple(self._camera(subject, name) for name in cameras)
        return files.rig(self.file, cameras=found, joints="h36m17", units="mm", up=np.array([0.0, 0.0, 1.0]))

    def _camera(self, subject: int, name: str) -> Camera:
        c, (width, height) = CAMERAS.index(name), _SIZES[name]
        outer = self.w0[_EXTRINSIC * (_SUBJECTS * c + subject - 1) :][:_EXTRINSIC]
        inner = self.w0[_EXTRINSIC * _SUBJECTS * len(CAMERAS) + _INTRINSIC * c :][:_INTRINSIC]
        (fx, fy, cx, cy), k, p = inner[:4], inner[4:7], inner[7:9]
        R = rotation(outer[:3])
        return files.camera(
            self.file, f"w0, S{subject}, camera {name}", id=name, width=width, height=height,
            K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), dist=np.array([k[0], k[1], p[0], p[1], k[2]]),
            R=R, t=-R @ outer[3:],
        )  # fmt: skip


def rotation(angles: Array) -> Array:
    """World → camera [3, 3] of the toolbox's three angles in radians: Rx·Ry·Rz."""
    return np.asarray(Rotation.from_euler("XYZ", angles).as_matrix())


def read_metadata(file: Path) -> Metadata:
    """Read metadata.xml; raises DatasetError."""
    text = files.read_text(file)
    if "<!ENTITY" in text:
        raise fault(file, "", "declares entities, which the toolbox's file does not.")
    try:
        root = ET.fromstring(text)  # noqa: S314 - no entities, as just checked, so nothing can be expanded
    except ET.ParseError as error:
        raise fault(file, "", f"is not whole XML: {error}.") from error
    _check_cameras(root, file)
    values = (root.findtext("w0") or "").strip().removeprefix("[").removesuffix("]").split()
    count = 4 * (_EXTRINSIC * _SUBJECTS + _INTRINSIC)
    return Metadata(file, _names(root, file), files.numbers(values, (count,), file, "w0"))


def _check_cameras(root: ET.Element, file: Path) -> None:
    listed = tuple((entry.text or "").strip() for entry in root.iterfind("dbcameras/index2id/*"))
    if listed != CAMERAS:
        raise fault(file, "dbcameras/index2id", f"expected {', '.join(CAMERAS)}, found {', '.join(listed) or 'none'}.")


def _names(root: ET.Element, file: Path) -> dict[tuple[int, int, int], str]:
    rows = [[(cell.text or "").strip() for cell in row] for row in root.iterfind("mapping/*")]
    if len(rows) <= _ROWS:
        raise fault(file, "mapping", f"expected a heading and {_ROWS} rows, found {len(rows)} rows.")
    subjects = rows[0][2:]
    names = {}
    for number, row in enumerate(rows[1 : _ROWS + 1], 1):
        if len(row) != len(rows[0]) or not (row[0].isdecimal() and row[1].isdecimal()):
            raise fault(file, f"mapping row {number}", "expected action, take and one name a subject.")
        for subject, name in zip(subjects, row[2:], strict=True):
            if not (subject.startswith("S") and subject[1:].isdecimal()):
                raise fault(file, "mapping heading", f"expected subjects such as S1, found {subject!r}.")
            if name:
                names[int(subject[1:]), int(row[0]), int(row[1])] = name
    return names

"""A rig: calibrated cameras, a joint set and, per camera, the fixed view that heatmaps live in."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import views
from models.errors import InvalidRig
from models.skeletons import Skeleton, skeleton
from models.views import HEATMAP_SIZE, View

__all__ = ["HEATMAP_SIZE", "METRES", "Camera", "Rig", "View"]

Array = NDArray[np.float64]
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_DISTORTION_LENGTHS = {"opencv": (4, 5, 8), "fisheye": (4,)}
_MAX_CAMERAS = 32  # every pair takes about 1 MB in an engine and 4 MB in an adaptation


@dataclass(frozen=True)
class Camera:
    """One calibrated camera in OpenCV's conventions: ``x_cam = R·X + t``, x right, y down, z forward.

    ``K`` [3, 3] in raw image pixels; ``dist`` k1 k2 p1 p2 (k3 (k4 k5 k6)), or the four of OpenCV's fisheye model;
    ``t`` [3] in the rig's unit. Raises InvalidRig, with ``at`` naming the field, where the calibration cannot be right.
    """

    id: str
    width: int
    height: int
    K: Array
    R: Array
    t: Array
    dist: Array = field(default_factory=lambda: np.zeros(0))
    model: str = "opencv"

    def __post_init__(self) -> None:
        for name in ("K", "R", "t", "dist"):
            value = _numbers(getattr(self, name), name)
            if name == "dist" and value.size == 0:
                value = np.zeros(4 if self.model == "fisheye" else 5)
                value.setflags(write=False)
            object.__setattr__(self, name, value)
        _check_camera(self)

    @property
    def centre(self) -> Array:
        """The optical centre in world coordinates [3]."""
        return -self.R.T @ self.t

    def with_pose(self, R: Array, t: Array) -> "Camera":
        """The same camera elsewhere."""
        return replace(self, R=R, t=t)

    def to_dict(self) -> dict[str, Any]:
        """The camera as API.md writes it."""
        return {
            "id": self.id, "width": self.width, "height": self.height, "K": self.K.tolist(),
            "dist": self.dist.tolist(), "model": self.model, "R": self.R.tolist(), "t": self.t.tolist(),
        }  # fmt: skip


def _check_camera(camera: Camera) -> None:
    K, R = camera.K, camera.R
    if camera.model not in _DISTORTION_LENGTHS:
        raise InvalidRig(f"The camera model {camera.model!r} is not known: use opencv or fisheye.", at="model")
    for name, shape in (("K", (3, 3)), ("R", (3, 3)), ("t", (3,))):
        _check_array(getattr(camera, name), name, shape)
    lengths = _DISTORTION_LENGTHS[camera.model]
    if camera.dist.ndim != 1 or len(camera.dist) not in lengths:
        raise InvalidRig(f"dist has shape {camera.dist.shape}; {camera.model} takes {lengths} coefficients.", at="dist")
    _check_array(camera.dist, "dist", camera.dist.shape)
    if camera.width < 1 or camera.height < 1:
        raise InvalidRig(f"The image size {camera.width}×{camera.height} is not positive.", at="width")
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        raise InvalidRig(f"The focal lengths {K[0, 0]:g} and {K[1, 1]:g} must be positive.", at="K")
    if not np.allclose(K[2], [0, 0, 1]) or not np.isclose(K[1, 0], 0) or abs(K[0, 1]) > 1e-3 * K[0, 0]:
        raise InvalidRig("K must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]: OpenCV's model has no skew.", at="K")
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise InvalidRig(
            "R is not a rotation: its rows must be orthonormal and its determinant +1. "
            "Check the axes: x right, y down, z forward.",
            at="R",
        )


def _numbers(value: Any, name: str) -> Array:
    """A read-only copy as float64."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidRig(f"{name} must hold numbers, in rows of one length.", at=name) from None
    array.setflags(write=False)
    return array


def _check_array(value: Array, name: str, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise InvalidRig(f"{name} has shape {value.shape}; expected {shape}.", at=name)
    if not np.isfinite(value).all():
        raise InvalidRig(f"{name} holds a value that is not a finite number.", at=name)


@dataclass(frozen=True)
class Rig:
    """Two or more cameras, a joint set, a unit, and optionally the capture volume and the world's up direction.

    ``volume`` is (min [3], max [3]) in the rig's unit. Raises InvalidRig with the place of the fault.
    """

    cameras: tuple[Camera, ...]
    joints: str
    units: str = "m"
    up: Array | None = None
    volume: tuple[Array, Array] | None = None

    def __post_init__(self) -> None:
        skeleton(self.joints)
        if self.units not in METRES:
            raise InvalidRig(f"The unit {self.units!r} is not known: use m, cm or mm.", at="units")
        _check_cameras(self)
        if self.up is not None:
            object.__setattr__(self, "up", _numbers(self.up, "up"))
            _check_array(self.up, "up", (3,))
            if np.linalg.norm(self.up) < 1e-9:
                raise InvalidRig("up must not be zero.", at="up")
        if self.volume is not None:
            low, high = self.volume
            object.__setattr__(self, "volume", (_numbers(low, "volume.min"), _numbers(high, "volume.max")))
            _check_volume(*self.volume)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Rig":
        """Build a rig from API.md's JSON; raises InvalidRig with ``at`` such as ``cameras[1].K``."""
        cameras = []
        for index, entry in enumerate(document["cameras"]):
            try:
                cameras.append(Camera(**{key: entry[key] for key in entry if key in Camera.__dataclass_fields__}))
            except InvalidRig as error:
                message = f"Camera {entry.get('id', index)!r}: {error.message}"
                raise InvalidRig(message, at=f"cameras[{index}].{error.at}", code=error.code) from None
        up, volume = document.get("up"), document.get("volume")
        return cls(
            cameras=tuple(cameras),
            joints=document["joints"],
            units=document.get("units", "m"),
            up=up,
            volume=None if volume is None else (volume["min"], volume["max"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """The rig as API.md writes it, without its name."""
        document: dict[str, Any] = {
            "joints": self.joints,
            "units": self.units,
            "cameras": [camera.to_dict() for camera in self.cameras],
        }
        if self.up is not None:
            document["up"] = self.up.tolist()
        if self.volume is not None:
            document["volume"] = {"min": self.volume[0].tolist(), "max": self.volume[1].tolist()}
        return document

    @property
    def skeleton(self) -> Skeleton:
        """The joint set."""
        return skeleton(self.joints)

    @property
    def metres_per_unit(self) -> float:
        """Length of the rig's unit in metres."""
        return METRES[self.units]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """All ordered pairs (target view, source view)."""
        count = range(len(self.cameras))
        return tuple((target, source) for target in count for source in count if target != source)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """Per camera, the window that its heatmaps cover."""
        return tuple(views.view_of(camera, self.up, self.volume) for camera in self.cameras)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rig's content, hexadecimal."""
        content = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    def camera_index(self, camera_id: str) -> int:
        """Position of a camera; raises KeyError."""
        return {camera.id: i for i, camera in enumerate(self.cameras)}[camera_id]

    def projections(self) -> Array:
        """World → homogeneous heatmap pixels, per view [V, 3, 4]."""
        return np.stack([v.K @ np.column_stack([c.R, c.t]) for c, v in zip(self.cameras, self.views, strict=True)])

    def with_views(self, seen: Sequence[View]) -> "Rig":
        """The same cameras seen through other windows, as those that follow a person from frame to frame."""
        object.__setattr__(other := copy(self), "views", tuple(seen))
        return other

    def with_poses(self, R: Array, t: Array) -> "Rig":
        """The same rig with its cameras elsewhere, each keeping its view. R [V, 3, 3], t [V, 3]."""
        moved = replace(self, cameras=tuple(c.with_pose(r, s) for c, r, s in zip(self.cameras, R, t, strict=True)))
        object.__setattr__(moved, "views", self.views)  # heatmaps are cut by the view of the rig as it was sent
        return moved


def _check_cameras(rig: Rig) -> None:
    if len(rig.cameras) < 2:
        raise InvalidRig(
            f"A rig needs at least two cameras to fuse; this one has {len(rig.cameras)}.",
            at="cameras", code="too_few_cameras",
        )  # fmt: skip
    if len(rig.cameras) > _MAX_CAMERAS:
        raise InvalidRig(f"At most {_MAX_CAMERAS} cameras are supported.", at="cameras", code="too_many_cameras")
    seen: set[str] = set()
    for index, camera in enumerate(rig.cameras):
        if camera.id in seen:
            raise InvalidRig(f"The camera id {camera.id!r} is used twice.", at=f"cameras[{index}].id")
        seen.add(camera.id)
    centres = np.stack([camera.centre for camera in rig.cameras]) * rig.metres_per_unit
    _check_apart(rig, centres)


def _check_apart(rig: Rig, centres: Array) -> None:
    """Two cameras at one place have no epipolar lines, and are most often one camera entered twice."""
    for index in range(1, len(centres)):
        gap = np.linalg.norm(centres[:index] - centres[index], axis=1)
        if gap.min() < 1e-3:
            other = rig.cameras[int(gap.argmin())].id
            raise InvalidRig(
                f"Cameras {other!r} and {rig.cameras[index].id!r} stand at the same place: is one entered twice?",
                at=f"cameras[{index}].t",
            )


def _check_volume(low: Array, high: Array) -> None:
    for name, corner in (("volume.min", low), ("volume.max", high)):
        _check_array(corner, name, (3,))
    if not (low < high).all():
        raise InvalidRig("volume.min must be below volume.max on every axis.", at="volume")

"""What no real studio looks like: limits that a rig is held to when it is registered, not when it is read again."""

import re

import numpy as np

from models.errors import InvalidRig
from models.rig import Camera, Rig

_MAX_SPREAD_M = 200.0
_MIN_SPREAD_M = 0.02
_FOCAL_IN_IMAGES = (0.05, 100.0)  # focal lengths in image sizes: from fisheyes to telescopes
_ID = re.compile(r"\w[\w .:+()@#-]{0,63}")  # names images in archives, so no path, and nothing that hides


def check_plausible(rig: Rig) -> None:
    """Raise InvalidRig, naming the place, for a calibration that is well-formed but of no real studio."""
    for index, camera in enumerate(rig.cameras):
        try:
            _check_camera(camera)
        except InvalidRig as error:
            message = f"Camera {camera.id!r}: {error.message}"
            raise InvalidRig(message, at=f"cameras[{index}].{error.at}", code=error.code) from None
    _check_spread(rig)


def _check_camera(camera: Camera) -> None:
    if not _ID.fullmatch(camera.id):
        raise InvalidRig("A camera's id is 1 to 64 letters, digits, spaces or . : + ( ) @ # - _, no path.", at="id")
    _check_intrinsics(camera)


def _check_intrinsics(camera: Camera) -> None:
    """Refuse what no lens has, which is mostly K of another image size or not in pixels."""
    K, size = camera.K, np.array([camera.width, camera.height])
    focal = np.array([K[0, 0], K[1, 1]])
    low, high = _FOCAL_IN_IMAGES
    if (focal < low * size.max()).any() or (focal > high * size.max()).any() or not 0.5 < focal[0] / focal[1] < 2:
        raise InvalidRig(
            f"The focal lengths {focal[0]:g} and {focal[1]:g} do not fit an image of {size[0]}×{size[1]}: "
            "K must be in pixels of the raw image.",
            at="K",
        )
    if (np.abs(K[:2, 2] - size / 2) > size).any():
        raise InvalidRig(
            f"The principal point ({K[0, 2]:g}, {K[1, 2]:g}) lies far outside the image of {size[0]}×{size[1]}: "
            "is K of another image size?",
            at="K",
        )


def _check_spread(rig: Rig) -> None:
    centres = np.stack([camera.centre for camera in rig.cameras]) * rig.metres_per_unit
    spread = float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    if spread > _MAX_SPREAD_M:
        raise InvalidRig(
            f"The cameras are {2 * spread:,.0f} m apart when t is read in {rig.units}: is the unit right?",
            at="units",
        )
    if spread < _MIN_SPREAD_M:
        raise InvalidRig(
            f"All cameras stand within 2 cm when t is read in {rig.units}: is the unit right, and is t = −R·C?",
            at="cameras",
        )

"""CMU Panoptic's ``calibration_*.json``: centimetres, the y axis of the world points down."""

from typing import Any

from app.calibrations.cameras import Document, entry, name_of

_UP = [0.0, -1.0, 0.0]


def reads(content: dict[str, Any]) -> bool:
    """Whether cameras have Panoptic's own members."""
    cameras = content.get("cameras")
    return isinstance(cameras, list) and any(
        isinstance(camera, dict) and "distCoef" in camera and "resolution" in camera for camera in cameras
    )


def read(content: dict[str, Any]) -> Document:
    """The HD cameras where there are any, of which there are 31; or else all."""
    cameras = [camera for camera in content["cameras"] if isinstance(camera, dict)]
    chosen = [camera for camera in cameras if camera.get("type") == "hd"] or cameras
    return {"units": "cm", "up": _UP, "cameras": [_camera(index, camera) for index, camera in enumerate(chosen)]}


def _camera(index: int, camera: dict[str, Any]) -> Document:
    return entry(
        name_of(camera, f"cam_{index}"),
        camera.get("resolution"),
        camera.get("K"),
        camera.get("distCoef"),
        R=camera.get("R"),
        t=camera.get("t"),
    )

"""The calibration of the recording: a Qualisys file, which must be as it is known."""

from pathlib import Path

from app.calibrations import qualisys
from app.demo.errors import DemoFailed
from models.errors import InvalidInput
from models.rig import Camera


def read_cameras(path: Path) -> tuple[Camera, ...]:
    """The cameras of a calibration file, in metres; raises DemoFailed where the file cannot be read."""
    try:
        return tuple(Camera(**camera) for camera in qualisys.read(path.read_text())["cameras"])
    except (OSError, ValueError, InvalidInput) as error:
        raise DemoFailed(f"{path} is not a Qualisys calibration that can be read ({error}).") from error

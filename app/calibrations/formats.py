"""Which format a calibration is in, told by its content, and the rig's document that it becomes."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.calibrations import opencv_yaml, panoptic, qualisys, toml
from app.calibrations.cameras import Document
from models.errors import InvalidInput

FORMATS = {
    "rigfuse": "RigFuse's own JSON",
    "panoptic": "CMU Panoptic's calibration_*.json",
    "toml": "TOML of Pose2Sim, Anipose, FreeMoCap or Caliscope",
    "qualisys": "Qualisys' *.qca.txt",
    "opencv": "OpenCV's YAML, as EasyMocap or a stereo calibration writes it",
}
MOST_CAMERAS = 256  # a rig has 32 at most; Panoptic's file has 521, of which its 31 HD cameras are read
_DEEPEST = 12
_ANSWERED = {
    "id", "revision", "digest", "status", "active_checkpoint", "capture_retention_days", "checkpoints_kept",
    "created_at", "archived_at", "studio",
}  # fmt: skip
_TEXT_FORMATS: dict[str, Any] = {"qualisys": qualisys, "opencv": opencv_yaml, "toml": toml}


@dataclass(frozen=True)
class Calibration:
    """What was read: the format's name and the document, which may be wrong in any way but is plain JSON."""

    format: str
    document: Document


def read(content: str | bytes) -> Calibration:
    """Read a calibration; raises InvalidInput where it is in none of the formats, or broken."""
    text = _decoded(content)
    if text.lstrip().startswith("{"):
        return _read_json(text)
    for name, reader in _TEXT_FORMATS.items():
        if reader.reads(text):
            return Calibration(name, _settled(_guarded(reader.read, text)))
    raise _unknown()


def _read_json(text: str) -> Calibration:
    try:
        content = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise InvalidInput(f"The calibration is not JSON that can be read: {error}.", at="body") from error
    if not isinstance(content, dict) or not isinstance(content.get("cameras"), list):
        raise _unknown()
    if is_panoptic(content):
        return Calibration("panoptic", _settled(panoptic.read(content)))
    document = {key: value for key, value in content.items() if key not in _ANSWERED}
    for index, camera in enumerate(content["cameras"]):
        if not isinstance(camera, dict):
            raise InvalidInput(
                "A camera is an object with id, width, height, K, dist, R and t.", at=f"cameras[{index}]"
            )
    document["cameras"] = [
        {key: value for key, value in camera.items() if key != "view"} for camera in content["cameras"]
    ]
    return Calibration("rigfuse", _settled(document))


def is_panoptic(content: dict[str, Any]) -> bool:
    """Whether a JSON object is CMU Panoptic's calibration."""
    return panoptic.reads(content)


def _decoded(content: str | bytes) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The calibration is no text in UTF-8: byte {error.start} is not.", at="body") from error


def _guarded(reader: Callable[[str], Document], text: str) -> Document:
    try:
        return reader(text)
    except RecursionError:
        raise _too_deep() from None


def _settled(document: Document) -> Document:
    """The document as JSON can hold it: finite numbers, whole characters, neither too deep nor too long."""
    if len(document["cameras"]) > MOST_CAMERAS:
        raise InvalidInput(f"The calibration has {len(document['cameras'])} cameras; {MOST_CAMERAS} are read at most.",
                           at="cameras", code="too_many_cameras")  # fmt: skip
    settled: Document = _plain(document, 0)
    return settled


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise _too_deep()
    if isinstance(value, dict):
        return {_plain(str(key), depth): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value).encode("utf-8", "replace").decode()


def _too_deep() -> InvalidInput:
    return InvalidInput("The calibration is nested too deeply.", at="body")


def _unknown() -> InvalidInput:
    known = "; ".join(FORMATS.values())
    return InvalidInput(f"This is no calibration in a format that is known. Known are: {known}.",
                        at="body", code="unknown_calibration")  # fmt: skip

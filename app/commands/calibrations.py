"""Calibrations on the command line: read from a file in any format, and what was found in them as lines of text."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.calibrations import formats, service
from app.calibrations.schemas import CalibrationOut
from app.commands.shared import read_json
from models.errors import InvalidInput

_MARKS = {"error": "ERROR", "warning": "warning", "hint": "hint"}


def rig_document(path: Path, *, name: str | None, joints: str | None, units: str | None) -> dict[str, Any]:
    """What is sent to register: the file's own document, or one made of another tool's calibration."""
    document = _document(path)
    if document is None:
        calibration = _read(path)
        document = {"name": path.name.split(".")[0], "joints": "coco17", **calibration.document}
    chosen = {"name": name, "joints": joints, "units": units}
    return document | {key: value for key, value in chosen.items() if value is not None}


def examined(path: Path, units: str | None) -> CalibrationOut:
    """What is found in a calibration."""
    calibration = _read(path)
    document = calibration.document | ({} if units is None else {"units": units})
    again, inspection = service.examine(json.dumps(document))
    return CalibrationOut.of(calibration.format, again.document, inspection)


def lines(answer: CalibrationOut) -> Iterator[str]:
    """The findings for a person; what would mend each below it."""
    count = len(answer.findings)
    told = f"{count or 'no'} finding{'' if count == 1 else 's'}"
    yield f"{len(answer.document['cameras'])} cameras, {told}"
    for finding in answer.findings:
        yield f"{_MARKS[finding.severity]:8}{finding.at or 'cameras'}: {finding.sentence}"
        if finding.change is not None:
            yield f"{'':8}→ {finding.change.label}"


def _document(path: Path) -> dict[str, Any] | None:
    """The file's JSON where it is a rig's document, wrong or not; None where it is another tool's file."""
    if not path.read_bytes().lstrip().startswith(b"{"):
        return None
    document = read_json(path)
    return None if formats.is_panoptic(document) else document


def _read(path: Path) -> formats.Calibration:
    try:
        return formats.read(path.read_bytes())
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", at=error.at, code=error.code) from error

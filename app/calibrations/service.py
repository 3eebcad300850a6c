"""A calibration read and inspected; nothing is stored."""

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from app.calibrations import formats
from app.problems import place_of
from app.rigs.schemas import RigIn
from models.inspection import Finding, Inspection, Severity, inspect


def examine(content: str | bytes) -> tuple[formats.Calibration, Inspection]:
    """Read and inspect; raises InvalidInput where there is nothing that could be inspected."""
    calibration = formats.read(content)
    inspection = inspect(calibration.document)
    if not inspection.is_refused:
        found = tuple(_not_taken(calibration.document))
        inspection = replace(inspection, findings=(*found, *inspection.findings))
    return calibration, inspection


def _not_taken(document: dict[str, Any]) -> list[Finding]:
    """What POST /v1/rigs would refuse for its form: a field that is not known, an id with a slash."""
    try:
        RigIn.model_validate({"name": "-", "joints": "coco17", **document})
    except ValidationError as error:
        return [
            Finding(
                Severity.ERROR, str(fault["type"]), f"{fault['msg'].rstrip('.')}.", at=place_of(("body", *fault["loc"]))
            )
            for fault in error.errors(include_url=False, include_input=False)[:5]
        ]
    return []

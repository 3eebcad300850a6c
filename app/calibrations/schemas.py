"""The inspection of a calibration on the wire."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from models.inspection import Inspection

CALIBRATION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["cameras"],
                    "properties": {"cameras": {"type": "array", "items": {"type": "object"}, "maxItems": 256}},
                    "description": "a rig as in `POST /v1/rigs`, wrong or not, or CMU Panoptic's file",
                }
            },
            "text/plain": {"schema": {"type": "string", "minLength": 1, "description": "the text of any format"}},
        },
    }
}


class EditOut(BaseModel):
    """One member that gets another value."""

    path: str = Field(description="JSON pointer (RFC 6901) into `document`")
    value: Any


class ChangeOut(BaseModel):
    """What would mend a finding."""

    label: str = Field(description="for a button")
    edits: list[EditOut]


class FindingOut(BaseModel):
    """One thing that looks wrong."""

    severity: Literal["error", "warning", "hint"] = Field(description="an `error` has the rig refused, or of no use")
    code: str
    sentence: str
    cameras: list[int] = Field(description="places in `document.cameras`")
    at: str | None = Field(description="the field, such as `cameras[1].K`")
    change: ChangeOut | None


class PlacedOut(BaseModel):
    """A camera in space, in the document's unit."""

    index: int = Field(description="place in `document.cameras`")
    id: str
    centre: list[float]
    axes: list[list[float]] = Field(description="right, down and forward in the world; as near as `R` can be read")
    frustum: list[list[float]] = Field(description="the directions of the undistorted image's corners, one unit deep")


class PairOut(BaseModel):
    """How much two cameras see together."""

    cameras: tuple[int, int] = Field(description="places in `document.cameras`")
    overlap: float = Field(ge=0, le=1, description="of what the one that sees less sees, the share both see")


class CalibrationOut(BaseModel):
    """A calibration as it was read, and what is found in it."""

    format: Literal["rigfuse", "panoptic", "toml", "qualisys", "opencv"]
    document: dict[str, Any] = Field(description="for `POST /v1/rigs`, which wants a name and joints besides")
    refused: bool = Field(description="whether there is an error to mend before it can be registered")
    findings: list[FindingOut]
    cameras: list[PlacedOut]
    place: list[float] | None = Field(description="where the cameras look together, if they do")
    pairs: list[PairOut]

    @classmethod
    def of(cls, name: str, document: dict[str, Any], inspection: Inspection) -> "CalibrationOut":
        """The answer for what was read and found."""
        layout = inspection.layout
        count = range(len(layout.placed))
        return cls.model_validate(
            {
                "format": name,
                "document": document,
                "refused": inspection.is_refused,
                "findings": [FindingOut.model_validate(each, from_attributes=True) for each in inspection.findings],
                "cameras": [
                    {"index": camera.index, "id": camera.id, "centre": camera.centre.tolist(),
                     "axes": camera.axes.tolist(), "frustum": camera.corners.tolist()}
                    for camera in layout.placed
                ],
                "place": None if layout.place is None else layout.place.place.tolist(),
                "pairs": [
                    {"cameras": (layout.indices[a], layout.indices[b]), "overlap": float(layout.overlap[a, b])}
                    for a in count for b in count if a < b
                ],
            }
        )  # fmt: skip

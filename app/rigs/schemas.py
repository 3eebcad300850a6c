"""Rigs on the wire."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.wire import Name, Notes, NoText, Number, Studio, Tag, Time
from models.skeletons import SKELETONS

Vector3 = Annotated[list[Number], Field(min_length=3, max_length=3)]
Matrix3 = Annotated[list[Vector3], Field(min_length=3, max_length=3)]
Pixels = Annotated[int, Field(ge=1, le=65_535), NoText]
CameraId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^/\\:\x00-\x1f\x7f]+$")]
RigStatus = Literal["registered", "adapting", "adapted", "archived"]
_ANSWERED = (
    "id",
    "revision",
    "digest",
    "status",
    "active_checkpoint",
    "capture_retention_days",
    "checkpoints_kept",
    "request_frames_kept",
    "created_at",
    "archived_at",
)


class View(BaseModel):
    """The window that a camera's heatmaps cover."""

    K: Matrix3 = Field(description="normalised undistorted coordinates (x/z, y/z, 1) → heatmap pixels")


class Calibration(BaseModel):
    """One calibrated camera; `x_cam = R·X + t`, OpenCV's axes."""

    id: CameraId
    width: Pixels
    height: Pixels
    K: Matrix3
    dist: list[Number] = Field(default=[], max_length=14, description="5 or 8 coefficients; 4 for fisheye")
    model: Literal["opencv", "fisheye"] = "opencv"
    R: Matrix3
    t: Vector3


class CameraIn(Calibration):
    """A camera to register. A `view`, which the service answers, may be sent back and is ignored."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_answered(cls, values: Any) -> Any:
        return {key: values[key] for key in values if key != "view"} if isinstance(values, dict) else values


class Volume(BaseModel):
    """The capture volume, in the rig's unit."""

    model_config = ConfigDict(extra="forbid")

    min: Vector3
    max: Vector3


class RigIn(BaseModel):
    """A rig to register. What only the service knows (id, status, …) may be sent back and is ignored."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    notes: Notes = ""
    tags: list[Tag] = Field(default=[], max_length=32)
    studio: Studio = Field(default="", description="whose it is; a key of a studio need not say")
    joints: str = Field(max_length=64, json_schema_extra={"enum": [*SKELETONS]})  # refused by the rig, in its words
    units: Literal["m", "cm", "mm"] = "m"
    cameras: list[CameraIn] = Field(json_schema_extra={"minItems": 2})
    up: Vector3 | None = None
    volume: Volume | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_answered(cls, values: Any) -> Any:
        return {key: values[key] for key in values if key not in _ANSWERED} if isinstance(values, dict) else values


class RigPatch(BaseModel):
    """What may change on a rig; a calibration never does."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    notes: Notes | None = None
    tags: list[Tag] | None = Field(default=None, max_length=32)
    capture_retention_days: Annotated[int, Field(ge=0, le=36_500), NoText] | None = Field(
        default=None,
        description="captures are purged so long after their last use; 0 is never, null as the deployment says",
    )
    checkpoints_kept: Annotated[int, Field(ge=0, le=10_000), NoText] | None = Field(
        default=None, description="the newest checkpoints that are kept; 0 is all, null as the deployment says"
    )
    request_frames_kept: Annotated[int, Field(ge=0, le=1000), NoText] | None = Field(
        default=None, description="the newest frames of pose requests that are kept to be looked at; 0 is none"
    )


class CameraOut(Calibration):
    """A camera with its view."""

    view: View


class RigOut(BaseModel):
    """A registered rig."""

    id: str
    studio: str = Field(description="whose it is; empty where the deployment serves one studio only")
    name: str
    notes: str
    tags: list[str]
    status: RigStatus
    revision: int
    digest: str
    active_checkpoint: str | None
    joints: str
    units: Literal["m", "cm", "mm"]
    cameras: list[CameraOut]
    up: Vector3 | None
    volume: Volume | None
    capture_retention_days: int | None = Field(description="null follows the deployment, 0 is never")
    checkpoints_kept: int | None = Field(description="null follows the deployment, 0 is all of them")
    request_frames_kept: int = Field(description="frames of pose requests that are kept to be looked at")
    created_at: Time
    archived_at: Time | None

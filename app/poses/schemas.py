"""Poses on the wire."""

from enum import StrEnum

from pydantic import BaseModel, Field

from app.uploads import FRAME_PARTS, multipart_body

Point2D = tuple[float, float, float]
Point3D = tuple[float, float, float]


class Answer(StrEnum):
    """What is sent back."""

    POSES = "poses"
    HEATMAPS = "heatmaps"


class Triangulation(StrEnum):
    """How 2D joints become 3D joints."""

    ROBUST = "robust"
    DLT = "dlt"
    PICTORIAL = "pictorial"


class FramePoses(BaseModel):
    """One frame."""

    frame: str
    poses2d: dict[str, list[Point2D | None]] = Field(description="per camera [x, y, confidence] in raw image pixels")
    pose3d: list[Point3D | None] = Field(description="in the rig's unit; null where a joint cannot be triangulated")
    confidence: list[float]
    reprojection_px: list[float | None] = Field(description="mean over the views used, in raw image pixels")
    views_used: list[int]


class PosesOut(BaseModel):
    """The poses of every frame that came."""

    rig: str
    checkpoint: str = Field(description="the checkpoint's id, `none` or `epipolar`")
    joints: list[str]
    frames: list[FramePoses]


NPZ_MEDIA_TYPE = "application/x-npz"
FRAMES_BODY = multipart_body(FRAME_PARTS)

"""Poses on the wire."""

from enum import StrEnum

from pydantic import BaseModel, Field

from app.uploads import FRAME_PARTS, multipart_body

Point2D = tuple[float, float, float]
Point3D = tuple[float, float, float]
Covariance = tuple[float, float, float, float, float, float]


class Answer(StrEnum):
    """What is sent back."""

    POSES = "poses"
    HEATMAPS = "heatmaps"


class Look(StrEnum):
    """Through which windows the images are looked at: fixed ones, or such that follow the person."""

    AUTO = "auto"
    RIG = "rig"
    PERSON = "person"


class Triangulation(StrEnum):
    """How 2D joints become 3D joints."""

    ROBUST = "robust"
    DLT = "dlt"
    PICTORIAL = "pictorial"


class Smoothing(StrEnum):
    """Whether the frames of a request are one take, whose joints in space are smoothed over time."""

    NONE = "none"
    SAVGOL = "savgol"
    CAUSAL = "causal"


class FramePoses(BaseModel):
    """One frame."""

    frame: str
    view: str = Field(description="`rig` or `person`: through which windows this frame was looked at in the end")
    poses2d: dict[str, list[Point2D | None]] = Field(
        description="per camera [x, y, confidence] in raw image pixels; null where a camera shows nothing of a joint "
        "that is not known in space either"
    )
    pose3d: list[Point3D | None] = Field(description="in the rig's unit; null where a joint cannot be triangulated")
    confidence: list[float]
    reprojection_px: list[float | None] = Field(description="mean over the views used, in raw image pixels")
    views_used: list[int]
    covariance: list[Covariance | None] | None = Field(
        default=None,
        description="with `covariance=true`: xx xy xz yy yz zz of every joint of `pose3d` before any smoothing, in the "
        "rig's unit squared; null where a joint cannot be triangulated",
    )


class PosesOut(BaseModel):
    """The poses of every frame that came."""

    rig: str
    checkpoint: str = Field(description="the checkpoint's id, `none` or `epipolar`")
    view: str = Field(description="`person` where at least one frame was looked at so, else `rig`")
    joints: list[str]
    frames: list[FramePoses]


NPZ_MEDIA_TYPE = "application/x-npz"
NPZ_SCHEMA = {
    "type": "string",
    "format": "binary",
    "description": "with `return=heatmaps`: an npz of F frames, V cameras and J joints. `heatmaps` [F, V, J, 64, 64], "
    "fused, float16, as the windows `view_K` [F, V, 3, 3] show the cameras: each leads from normalised undistorted "
    "camera coordinates to heatmap pixels. `poses2d` [F, V, J, 3], `pose3d` [F, J, 3], `confidence`, "
    "`reprojection_px` and `views_used` [F, J] as in JSON, NaN in the place of null; `covariance` [F, J, 3, 3], whole "
    "and always there; and the names, `frames` [F] and `cameras` [V].",
}
FRAMES_BODY = multipart_body(FRAME_PARTS)
SMOOTHING_HELP = (
    "`none`: every frame for itself. `savgol` and `causal` take the frames, in the order of their ids (9 before "
    "10), for one take of `fps` frames a second and smooth `pose3d`, doubtful joints the more: `savgol` "
    "(Savitzky–Golay) looks 0.12 s back and ahead, or two frames where that is more, `causal` (a Kalman filter) never "
    "ahead, for streams. Gaps of up to 0.2 s are filled, with confidence 0. `poses2d` stay as they are."
)
COVARIANCE_HELP = "tell how far off each joint in space may be, from the heatmaps' spread and the cameras' geometry"
VIEW_HELP = (
    "`rig`: all frames are looked at through the rig's fixed views. `person`: after a first look, each image is looked "
    "at again through a window around the person, so that precision does not depend on how much of the image the "
    "person fills; needs images, takes about twice the time, and falls back to the fixed views where nobody is found. "
    "`auto`: `person` where images come and poses are asked for, if the checkpoint can follow (dense weights cannot); "
    "`rig` for heatmaps. With `return=heatmaps` the array `view_K` [frames, cameras, 3, 3] tells the windows."
)

"""Captures on the wire."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.uploads import FRAME_PARTS, multipart_body
from app.wire import Time


class CaptureOut(BaseModel):
    """A sealed capture and what its labels cover."""

    id: str
    rig: str
    kind: Literal["images", "heatmaps"]
    frames: int = Field(description="labelled frames")
    labelled_joints: int = Field(description="labelled joints over all frames and cameras")
    coverage: dict[str, Any]
    warnings: list[str]
    digest: str = Field(description="SHA-256 over rig, labels and source")
    size_bytes: int = Field(description="frames or heatmaps, and labels, as they are kept")
    created_at: Time
    keep_until: Time | None = Field(description="when the retention policy purges it, unless it is used again")
    purged_at: Time | None = Field(description="since when its frames and labels are gone")


_LABELS = 'JSON: {"frames": [{"frame": id, "cameras": {camera: [[x, y, v], …]}}]}'
UPLOAD_BODY = multipart_body({"labels": _LABELS, **FRAME_PARTS}, required=["labels"])

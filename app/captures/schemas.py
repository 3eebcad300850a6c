"""Captures on the wire."""

from typing import Any, Literal

from pydantic import BaseModel, Field

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
    created_at: Time


UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["labels"],
                    "properties": {
                        "labels": {
                            "type": "string",
                            "format": "binary",
                            "description": 'JSON: {"frames": [{"frame": id, "cameras": {camera: [[x, y, v], …]}}]}',
                        },
                        "frames": {
                            "type": "string",
                            "format": "binary",
                            "description": "a zip of `<frame>/<camera>.jpg|png`; or else heatmaps",
                        },
                        "heatmaps": {
                            "type": "string",
                            "format": "binary",
                            "description": "an npz of heatmaps [F, V, J, 64, 64] float16/float32, frames and cameras",
                        },
                    },
                }
            }
        },
    }
}

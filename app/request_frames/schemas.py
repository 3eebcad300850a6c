"""Kept frames on the wire."""

from typing import Literal

from pydantic import BaseModel, Field

from app.tables import RequestFrameRow
from app.wire import Time


class RequestFrame(BaseModel):
    """The first frame of a pose request, kept to be looked at."""

    id: int
    rig: str
    frame: str = Field(description="as the request named it; of a live stream its number")
    kind: Literal["images", "heatmaps"]
    checkpoint: str | None = Field(description="what it was served with; null is without a checkpoint")
    size_bytes: int
    created_at: Time

    @classmethod
    def of(cls, row: RequestFrameRow) -> "RequestFrame":
        """The row as it is answered."""
        return cls(
            id=row.id,
            rig=row.rig_id,
            frame=row.frame,
            kind="images" if row.kind == "images" else "heatmaps",
            checkpoint=row.checkpoint_id,
            size_bytes=row.size_bytes,
            created_at=row.created_at,
        )

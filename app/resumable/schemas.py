"""Resumable uploads on the wire."""

from pydantic import BaseModel, ConfigDict, Field

from app.resumable.records import Pending
from app.wire import Time


class UploadOut(BaseModel):
    """A resumable upload as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "upl_3f1c0a9be2d74c6e8a5b9d02",
                    "length": 734003200,
                    "offset": 268435456,
                    "complete": False,
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "created_at": "2026-01-05T09:30:00Z",
                    "expires_at": "2026-01-06T09:41:10Z",
                }
            ]
        }
    )

    id: str
    length: int = Field(description="bytes in all")
    offset: int = Field(description="bytes that have come; go on from here")
    complete: bool = Field(description="whether a capture can be made of it")
    sha256: str | None = Field(description="what was declared of its bytes; checked once all have come")
    created_at: Time
    expires_at: Time = Field(description="when it is removed unless it goes on")

    @classmethod
    def of(cls, pending: Pending) -> "UploadOut":
        """The upload as a client sees it."""
        declared = pending.declared
        return cls(
            id=pending.id,
            length=declared.length,
            offset=pending.offset,
            complete=pending.is_complete,
            sha256=declared.sha256,
            created_at=declared.created_at,
            expires_at=pending.expires_at,
        )


class UploadList(BaseModel):
    """All uploads that a key may see, which are those of its studio; there are never many."""

    items: list[UploadOut]
    next_cursor: None = None

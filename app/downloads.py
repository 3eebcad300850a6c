"""An artifact as a response: verified before its first byte leaves, and again while they do."""

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.artifacts import corrupt

MEDIA_TYPE = "application/octet-stream"
_CHUNK = 1 << 18


class Download(StreamingResponse):
    """Streams an opened artifact and closes it, also where the client goes away before the end.

    If the file changes while it is sent, the connection breaks before its end: the client never holds all of it.
    """

    def __init__(self, handle: BinaryIO, sha256: str, filename: str) -> None:
        headers = {
            "Content-Length": str(os.fstat(handle.fileno()).st_size),
            "Content-Disposition": f'attachment; filename="{filename}"',
            "ETag": f'"{sha256}"',
            "Cache-Control": "private, immutable",
        }
        super().__init__(verified_chunks(handle, sha256), media_type=MEDIA_TYPE, headers=headers)
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._handle.close()


def verified_chunks(handle: BinaryIO, sha256: str) -> Iterator[bytes]:
    """The file's bytes; the last of them only once all are found right, else CorruptArtifact is raised."""
    digest, held = hashlib.sha256(), b""
    while chunk := handle.read(_CHUNK):
        digest.update(chunk)
        if held:
            yield held
        held = chunk
    if digest.hexdigest() != sha256:
        raise corrupt(sha256)
    yield held

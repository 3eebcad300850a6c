"""Resumable uploads, by tus 1.0: a file is known by its SHA-256, so who sends it again goes on where it broke off."""

import base64
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from app.asking import segment
from app.client.calls import Calls
from app.resumable.schemas import UploadOut
from app.retries import ApiError, Misused, Repeat, Unreachable
from app.transport import UploadProgress

_TUS = {"Tus-Resumable": "1.0.0"}
_PIECE_BYTES = 32 << 20  # each is on the service's disk once it is answered
_CHUNK = 1 << 18
_PATIENCE_S = 120.0
_PAUSE_S = 1.0
_GOES_ON = {409, 423, 429, 502, 503, 504}


class Uploads(Calls):
    """Large files on their way."""

    def upload_file(
        self, path: Path, on_progress: UploadProgress | None = None, *, patience_s: float = _PATIENCE_S
    ) -> UploadOut:
        """Send a file, or the rest of it; the finished upload.

        A connection that breaks, or a service that restarts, is waited for as long as ``patience_s`` without a byte.
        """
        size, sha256 = path.stat().st_size, _sha256(path)
        if not size:
            raise Misused(f"{path} is empty.")
        upload = self._begun(size, sha256) or self._begin(size, sha256)
        offset, moved = upload.offset, time.monotonic()
        while not upload.complete:
            try:
                offset = self._send_piece(path, upload, offset, on_progress)
                moved = time.monotonic()
            except (ApiError, Unreachable) as error:
                if not _goes_on(error) or time.monotonic() - moved > patience_s:
                    raise
                time.sleep(_PAUSE_S)
                reached = self._offset(upload.id, offset)
                moved = time.monotonic() if reached > offset else moved
                offset = reached
            upload = upload.model_copy(update={"offset": offset, "complete": offset == size})
        if on_progress is not None:
            on_progress(size, size)
        return upload

    def uploads(self) -> Iterator[UploadOut]:
        """Uploads under way or waiting to be used, the newest first."""
        return self._list(UploadOut, "/v1/uploads")

    def end_upload(self, upload_id: str) -> None:
        """Remove an upload that is not to be used."""
        self._transport.request("DELETE", f"/v1/uploads/{segment(upload_id)}", headers=_TUS)

    def _begun(self, size: int, sha256: str) -> UploadOut | None:
        same = (upload for upload in self.uploads() if upload.length == size and upload.sha256 == sha256)
        return max(same, key=lambda upload: upload.offset, default=None)

    def _begin(self, size: int, sha256: str) -> UploadOut:
        metadata = f"sha256 {base64.b64encode(sha256.encode()).decode()}"
        headers = {**_TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
        # Twice would leave one that is never used and expires: harmless.
        return self._ask(UploadOut, "POST", "/v1/uploads", headers=headers, repeat=Repeat.ALWAYS)

    def _send_piece(self, path: Path, upload: UploadOut, offset: int, on_progress: UploadProgress | None) -> int:
        length = min(_PIECE_BYTES, upload.length - offset)
        headers = {
            **_TUS,
            "Upload-Offset": str(offset),
            "Content-Length": str(length),
            "Content-Type": "application/offset+octet-stream",
        }
        content = _read(path, offset, length, upload.length, on_progress)
        answer = self._transport.request(
            "PATCH", f"/v1/uploads/{segment(upload.id)}", headers=headers, content=content, repeat=Repeat.NEVER
        )
        return int(answer.headers["Upload-Offset"])

    def _offset(self, upload_id: str, known: int) -> int:
        try:
            return self._ask(UploadOut, "GET", f"/v1/uploads/{segment(upload_id)}").offset
        except (ApiError, Unreachable) as error:
            if not _goes_on(error):
                raise
            return known


def _goes_on(error: ApiError | Unreachable) -> bool:
    return isinstance(error, Unreachable) or error.status in _GOES_ON


def _read(path: Path, offset: int, length: int, total: int, on_progress: UploadProgress | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        end = offset + length
        while offset < end and (chunk := file.read(min(_CHUNK, end - offset))):
            yield chunk
            offset += len(chunk)
            if on_progress is not None:
                on_progress(offset, total)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

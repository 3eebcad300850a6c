"""Captures: upload labelled frames, in one request or resumable, look at them, delete them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.asking import segment
from app.captures.schemas import CaptureOut
from app.client.calls import read
from app.client.uploads import Uploads
from app.retries import Repeat
from app.transport import File, UploadProgress

RESUMABLE_BYTES = 16 << 20
"""Files of this size and more are uploaded such that they can go on after a break."""


class Captures(Uploads):
    """Labelled frames of a rig."""

    def upload_capture(
        self,
        rig_id: str,
        labels: Path | Mapping[str, Any],
        *,
        frames: Path | None = None,
        heatmaps: Path | None = None,
        resumable: bool | None = None,
        on_progress: UploadProgress | None = None,
    ) -> CaptureOut:
        """Upload labels with either a zip of images (``frames``) or an npz of ``heatmaps``.

        A large file, or any with ``resumable=True``, goes on where it broke off: within this call, and also when the
        same file is uploaded again by another.
        """
        path, files = f"/v1/rigs/{segment(rig_id)}/captures", {"frames": frames, "heatmaps": heatmaps}
        sent: dict[str, File] = {"labels": labels if isinstance(labels, Path) else json.dumps(labels).encode()}
        large = [(name, file) for name, file in files.items() if file is not None and _is_large(file, resumable)]
        if len(large) != 1:  # none, or too many: the service says what is wrong with that
            return read(CaptureOut, self._transport.upload(path, sent | files, {}, on_progress).json())
        name, file = large[0]
        params = {f"{name}_upload": self.upload_file(file, on_progress).id}
        answer = self._transport.upload(path, sent, params, None, Repeat.IF_UNAVAILABLE)
        return read(CaptureOut, answer.json())

    def capture(self, capture_id: str) -> CaptureOut:
        """A capture."""
        return self._ask(CaptureOut, "GET", f"/v1/captures/{segment(capture_id)}")

    def captures(self, rig_id: str) -> Iterator[CaptureOut]:
        """The captures of a rig, the newest first."""
        return self._list(CaptureOut, f"/v1/rigs/{segment(rig_id)}/captures")

    def delete_capture(self, capture_id: str) -> CaptureOut:
        """Delete a capture's frames and labels for good; what stays is that there was one."""
        return self._ask(CaptureOut, "DELETE", f"/v1/captures/{segment(capture_id)}")


def _is_large(file: Path, resumable: bool | None) -> bool:
    return file.stat().st_size >= RESUMABLE_BYTES if resumable is None else resumable

"""A Python client of the wire contract: ``RigFuseClient("http://127.0.0.1:8000", api_key="…")``.

Rigs, captures and poses are the JSON documents of the contract; what the service itself says about its jobs and their
results comes as typed values. Large files are streamed from and to the disk. Whatever the service refuses raises
ApiError; a service that cannot be reached raises Unreachable.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from app.adaptations.schemas import Adaptation
from app.adaptations.states import FINISHED
from app.checkpoints.schemas import Checkpoint, CheckpointManifest, Rollback
from app.transport import ApiError, ClientError, Document, Event, File, Transport, Unreachable, UploadProgress
from models.methods import DEFAULT_METHOD

__all__ = ["ApiError", "ClientError", "Event", "RigFuseClient", "Unreachable"]

DEFAULT_URL = "http://127.0.0.1:8000"
_RECONNECT_S = 1.0


class RigFuseClient:
    """One service. Use as a context manager, or call close()."""

    def __init__(self, base_url: str = DEFAULT_URL, api_key: str | None = None) -> None:
        self._transport = Transport(base_url, api_key)

    def __enter__(self) -> "RigFuseClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # Rigs

    def register_rig(self, rig: Mapping[str, Any]) -> Document:
        """Register a rig from the contract's document."""
        return self._transport.json("POST", "/v1/rigs", json=dict(rig))

    def rig(self, rig_id: str) -> Document:
        """A rig with each camera's view, its status and its active checkpoint."""
        return self._transport.json("GET", f"/v1/rigs/{rig_id}")

    def rigs(self) -> Iterator[Document]:
        """All rigs, the newest first."""
        return self._transport.items("/v1/rigs")

    def update_rig(self, rig_id: str, **changes: Any) -> Document:
        """Change a rig's ``name``, ``notes`` or ``tags``."""
        return self._transport.json("PATCH", f"/v1/rigs/{rig_id}", json=changes)

    def archive_rig(self, rig_id: str) -> None:
        """Archive a rig: it is kept, but serves no longer."""
        self._transport.request("DELETE", f"/v1/rigs/{rig_id}")

    # Captures

    def upload_capture(
        self,
        rig_id: str,
        labels: Path | Mapping[str, Any],
        *,
        frames: Path | None = None,
        heatmaps: Path | None = None,
        on_progress: UploadProgress | None = None,
    ) -> Document:
        """Upload labels with either a zip of images (``frames``) or an npz of ``heatmaps``."""
        files: dict[str, File] = {
            "labels": labels if isinstance(labels, Path) else json.dumps(labels).encode(),
            "frames": frames,
            "heatmaps": heatmaps,
        }
        return self._transport.upload(f"/v1/rigs/{rig_id}/captures", files, {}, on_progress).json()

    def capture(self, capture_id: str) -> Document:
        """A capture."""
        return self._transport.json("GET", f"/v1/captures/{capture_id}")

    def captures(self, rig_id: str) -> Iterator[Document]:
        """The captures of a rig, the newest first."""
        return self._transport.items(f"/v1/rigs/{rig_id}/captures")

    # Adaptations

    def adapt(
        self,
        rig_id: str,
        capture_id: str,
        *,
        method: str = DEFAULT_METHOD,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Adaptation:
        """Ask for an adaptation; with an ``idempotency_key`` it is safe to ask again."""
        body = {"capture": capture_id, "method": method, "seed": seed, "options": dict(options or {})}
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return Adaptation(**self._transport.json("POST", f"/v1/rigs/{rig_id}/adaptations", json=body, headers=headers))

    def adaptation(self, adaptation_id: str) -> Adaptation:
        """An adaptation as it stands."""
        return Adaptation(**self._transport.json("GET", f"/v1/adaptations/{adaptation_id}"))

    def adaptations(self, *, state: str | None = None, rig: str | None = None) -> Iterator[Adaptation]:
        """Adaptations, the newest first."""
        params = {key: value for key, value in (("state", state), ("rig", rig)) if value is not None}
        return (Adaptation(**item) for item in self._transport.items("/v1/adaptations", params))

    def cancel(self, adaptation_id: str) -> Adaptation:
        """Ask an adaptation to stop."""
        return Adaptation(**self._transport.json("POST", f"/v1/adaptations/{adaptation_id}/cancel"))

    def events(self, adaptation_id: str, after: int = 0) -> Iterator[Event]:
        """What happens to an adaptation, as it happens, from the event after the one numbered ``after``."""
        return self._transport.events(f"/v1/adaptations/{adaptation_id}/events", after)

    def wait(
        self,
        adaptation_id: str,
        on_progress: Callable[[Event], None] | None = None,
        *,
        patience_s: float = 60.0,
    ) -> Adaptation:
        """Follow an adaptation to its end; the service may be away for ``patience_s`` meanwhile."""
        after, heard = 0, time.monotonic()
        while True:
            try:
                for event in self.events(adaptation_id, after):
                    after, heard = event.id, time.monotonic()
                    if on_progress is not None:
                        on_progress(event)
                current = self.adaptation(adaptation_id)
                if current.state in FINISHED:
                    return current
            except Unreachable:
                if time.monotonic() - heard > patience_s:
                    raise
            time.sleep(_RECONNECT_S)

    # Checkpoints

    def checkpoints(self, rig_id: str) -> Iterator[Checkpoint]:
        """The checkpoints of a rig, the newest first."""
        return (Checkpoint(**item) for item in self._transport.items(f"/v1/rigs/{rig_id}/checkpoints"))

    def checkpoint(self, checkpoint_id: str) -> CheckpointManifest:
        """A checkpoint with its lineage and measurements."""
        return CheckpointManifest(**self._transport.json("GET", f"/v1/checkpoints/{checkpoint_id}"))

    def download_checkpoint(self, checkpoint_id: str, target: Path) -> Path:
        """Write a checkpoint's safetensors file to ``target``."""
        with self._transport.stream("GET", f"/v1/checkpoints/{checkpoint_id}/artifact") as response:
            return _write(response, target)

    def activate(self, checkpoint_id: str) -> Checkpoint:
        """Serve a checkpoint's rig with it."""
        return Checkpoint(**self._transport.json("POST", f"/v1/checkpoints/{checkpoint_id}/activate"))

    def roll_back(self, rig_id: str) -> Rollback:
        """Serve a rig with what was active before."""
        return Rollback(**self._transport.json("POST", f"/v1/rigs/{rig_id}/rollback"))

    # Poses

    def poses(
        self,
        rig_id: str,
        *,
        frames: Path | None = None,
        heatmaps: Path | None = None,
        checkpoint: str = "active",
        triangulation: str = "robust",
        view: str = "auto",
        smoothing: str = "none",
        fps: float | None = None,
        covariance: bool = False,
        on_progress: UploadProgress | None = None,
    ) -> Document:
        """Fused 2D joints and triangulated 3D joints of frames; ``checkpoint`` may be ``none`` or ``epipolar`` too.

        ``view``: images are looked at through the ``rig``'s fixed windows, or such that follow the ``person``.
        ``smoothing`` (savgol, causal) takes the frames for a take of ``fps`` frames a second.
        """
        params = {"checkpoint": checkpoint, "triangulation": triangulation, "view": view, "return": "poses"}
        params |= {"smoothing": smoothing, "covariance": str(covariance).lower()}
        params |= {} if fps is None else {"fps": str(fps)}
        files: dict[str, File] = {"frames": frames, "heatmaps": heatmaps}
        return self._transport.upload(f"/v1/rigs/{rig_id}/poses", files, params, on_progress).json()

    def fused_heatmaps(
        self,
        rig_id: str,
        target: Path,
        *,
        frames: Path | None = None,
        heatmaps: Path | None = None,
        checkpoint: str = "active",
        triangulation: str = "robust",
        view: str = "auto",
    ) -> Path:
        """Write the npz of fused heatmaps and poses to ``target``; ``view_K`` in it tells the heatmaps' windows."""
        params = {"checkpoint": checkpoint, "triangulation": triangulation, "view": view, "return": "heatmaps"}
        files: dict[str, File] = {"frames": frames, "heatmaps": heatmaps}
        with self._transport.sending(f"/v1/rigs/{rig_id}/poses", files, params) as response:
            return _write(response, target)

    # Operations

    def ready(self) -> bool:
        """Whether the service and all its parts answer."""
        try:
            self._transport.request("GET", "/readyz")
        except ClientError:
            return False
        return True

    def metrics(self) -> str:
        """The service's metrics in Prometheus' format."""
        return self._transport.request("GET", "/metrics").text


def _write(response: httpx.Response, target: Path) -> Path:
    """Stream the body to ``target``, which is only there once all of it has come."""
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target

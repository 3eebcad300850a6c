"""Poses: frames in, joints or fused heatmaps out."""

from pathlib import Path

from app.asking import segment
from app.client.calls import Calls, read, write
from app.poses.schemas import PosesOut
from app.retries import Repeat
from app.transport import File, UploadProgress


class Poses(Calls):
    """Frames in, fused heatmaps and poses out; nothing is kept, so a request that broke is simply sent again."""

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
    ) -> PosesOut:
        """Fused 2D joints and triangulated 3D joints of frames; ``checkpoint`` may be ``none`` or ``epipolar`` too.

        ``view``: images are looked at through the ``rig``'s fixed windows, or such that follow the ``person``.
        ``smoothing`` (savgol, causal) takes the frames for a take of ``fps`` frames a second.
        """
        params = {"checkpoint": checkpoint, "triangulation": triangulation, "view": view, "return": "poses"}
        params |= {"smoothing": smoothing, "covariance": str(covariance).lower()}
        params |= {} if fps is None else {"fps": str(fps)}
        files: dict[str, File] = {"frames": frames, "heatmaps": heatmaps}
        path = f"/v1/rigs/{segment(rig_id)}/poses"
        return read(PosesOut, self._transport.upload(path, files, params, on_progress, Repeat.ALWAYS).json())

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
        path = f"/v1/rigs/{segment(rig_id)}/poses"
        with self._transport.sending(path, files, params, repeat=Repeat.ALWAYS) as response:
            return write(response, target)

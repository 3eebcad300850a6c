"""Poses as JSON, where what is not known is null, or as an npz."""

import tempfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from models.rig import Rig
from models.runtime import Poses

_PIXEL_DECIMALS = 3
_WORLD_DECIMALS = 6
_COVARIANCE_DECIMALS = 15
_IN_MEMORY = 16 << 20
_FLOAT16_MAX = float(np.finfo(np.float16).max)


def frames_as_json(
    rig: Rig, frames: Sequence[str], poses: Poses, looks: Sequence[str], *, covariance: bool = False
) -> list[dict[str, Any]]:
    """One object a frame, as FramePoses describes it; covariances only where they are asked for."""
    points = _rows(_with_confidence(poses), _PIXEL_DECIMALS)
    world = _rows(poses.pose3d, _WORLD_DECIMALS)
    known = np.isfinite(poses.pose3d).all(-1)
    confidence = np.where(known, np.nan_to_num(poses.confidence), 0.0).round(4).tolist()
    reprojection = _rows(np.where(known, poses.reprojection_px, np.nan)[..., None], _PIXEL_DECIMALS)
    views_used = np.where(known, poses.views_used, 0).tolist()
    doubts = _covariances(poses.covariance) if covariance else None
    return [
        {
            "frame": name,
            "view": str(looks[index]),
            "poses2d": {camera.id: points[index][view] for view, camera in enumerate(rig.cameras)},
            "pose3d": world[index],
            "confidence": confidence[index],
            "reprojection_px": [None if value is None else value[0] for value in reprojection[index]],
            "views_used": views_used[index],
            **({} if doubts is None else {"covariance": doubts[index]}),
        }
        for index, name in enumerate(frames)
    ]


def write_npz(rig: Rig, frames: Sequence[str], poses: Poses) -> IO[bytes]:
    """The fused heatmaps and poses as an npz, positioned at its end; NaN where a joint cannot be triangulated.

    ``view_K`` [F, V, 3, 3] leads from normalised undistorted camera coordinates to each heatmap's pixels.
    """
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 -- the response closes it
    np.savez(
        file,
        heatmaps=_halved(poses.heatmaps),
        poses2d=_with_confidence(poses),
        pose3d=poses.pose3d,
        confidence=poses.confidence,
        reprojection_px=poses.reprojection_px,
        views_used=poses.views_used,
        view_K=poses.view,
        covariance=poses.covariance,
        frames=np.array(frames, dtype="U"),
        cameras=np.array([camera.id for camera in rig.cameras], dtype="U"),
    )
    return file


def _halved(heatmaps: NDArray[np.float32]) -> NDArray[np.float16]:
    """The same in half precision, frame by frame: a second copy in single precision would cost twice as much."""
    halved = np.empty(heatmaps.shape, np.float16)
    for frame, target in zip(heatmaps, halved, strict=True):
        target[:] = np.clip(frame, -_FLOAT16_MAX, _FLOAT16_MAX)
    return halved


def _with_confidence(poses: Poses) -> NDArray[np.float64]:
    return np.concatenate([poses.poses2d, poses.confidence2d[..., None]], axis=-1)


def _covariances(covariance: NDArray[np.float64]) -> Any:
    """The upper triangles of matrices [F, J, 3, 3], to five significant digits of the largest, whatever the unit."""
    triangles = covariance[..., *np.triu_indices(3)]
    largest = np.abs(triangles).max(-1, keepdims=True)
    sized = np.isfinite(largest) & (largest > 0)
    unit = 10.0 ** (np.floor(np.log10(np.where(sized, largest, 1))) - 4)
    return _rows(np.round(triangles / unit) * unit, _COVARIANCE_DECIMALS)


def _rows(values: NDArray[np.float64], decimals: int) -> Any:
    """Nested lists of ``values`` whose innermost rows are None where they hold what JSON cannot: NaN or infinity."""
    rounded = np.round(values, decimals)
    known = np.asarray(np.isfinite(rounded).all(-1))
    if known.all():
        return rounded.tolist()
    rows = np.empty(known.shape, object)
    for index in np.ndindex(known.shape):
        rows[index] = rounded[index].tolist() if known[index] else None
    return rows.tolist()

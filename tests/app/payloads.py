"""What a client sends: rigs, labels, heatmaps and images of small synthetic worlds."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.geometry import view_to_image
from models.rig import Rig
from models.worlds import World, make_world, random_rig

FRAMES = 10
Sent = dict[str, tuple[str, bytes]]


def world(seed: int = 0, cameras: int = 3, frames: int = FRAMES) -> World:
    """A small seeded world."""
    rng = np.random.default_rng(seed)
    return make_world(rng, random_rig(rng, cameras), frames)


def rig_document(rig: Rig, name: str = "stage") -> dict[str, Any]:
    """The body of POST /v1/rigs."""
    return {"name": name, **rig.to_dict()}


def with_small_images(rig: Rig, width: int = 96, height: int = 64) -> Rig:
    """The same studio with tiny images."""
    document = rig.to_dict()
    for camera in document["cameras"]:
        camera |= {"width": width, "height": height, "K": [[90, 0, 47.5], [0, 90, 31.5], [0, 0, 1]], "dist": []}
    return Rig.from_dict(document)


def labels_document(seen: World) -> dict[str, Any]:
    """The labels of every frame, in raw image pixels."""
    labelled = seen.labelled()
    cameras = list(zip(seen.rig.cameras, seen.rig.views, strict=True))
    image = [view_to_image(camera, view, labelled.joints_view[:, i]) for i, (camera, view) in enumerate(cameras)]
    frames = []
    for index, name in enumerate(labelled.frames):
        rows = {}
        for view, (camera, _) in enumerate(cameras):
            points = np.nan_to_num(image[view][index])
            marks = labelled.visibility[index, view]
            rows[camera.id] = np.column_stack([points, marks]).tolist()
        frames.append({"frame": name, "cameras": rows})
    return {"frames": frames}


def npz(**arrays: Any) -> bytes:
    """The arrays as an npz."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def heatmaps(seen: World, **changed: Any) -> bytes:
    """All frames of a world as an npz; ``changed`` arrays instead of the right ones, None to leave one out."""
    arrays = {
        "heatmaps": seen.heatmaps.astype(np.float16),
        "frames": np.array([f"{i:06d}" for i in range(len(seen.heatmaps))]),
        "cameras": np.array([camera.id for camera in seen.rig.cameras]),
    } | changed
    return npz(**{name: array for name, array in arrays.items() if array is not None})


def zipped(entries: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of the entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items() if isinstance(entries, Mapping) else entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def image(width: int, height: int, extension: str = ".jpg", seed: int = 0) -> bytes:
    """A picture that is neither flat nor noise."""
    rng = np.random.default_rng(seed)
    small: NDArray[np.uint8] = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return cv2.imencode(extension, cv2.resize(small, (width, height)))[1].tobytes()


def frame_entries(rig: Rig, frames: Sequence[str], extension: str = ".jpg") -> dict[str, bytes]:
    """The entries of a zip of images, complete for every frame."""
    pictures = {camera.id: image(camera.width, camera.height, extension) for camera in rig.cameras}
    return {f"{frame}/{camera}{extension}": data for frame in frames for camera, data in pictures.items()}


def files(labels: Any = None, **parts: bytes | None) -> Sent:
    """httpx's ``files``; labels may be a document or raw bytes."""
    sent = {name: (name, data) for name, data in parts.items() if data is not None}
    if labels is not None:
        sent["labels"] = ("labels.json", labels if isinstance(labels, bytes) else json.dumps(labels).encode())
    return sent


def capture(seen: World) -> Sent:
    """A capture of heatmaps that is right in everything."""
    return files(labels_document(seen), heatmaps=heatmaps(seen))


def small_labels(rig: Rig, frames: int = FRAMES) -> dict[str, Any]:
    """Labels for tiny images: every joint somewhere inside."""
    rows = [[20.0 + joint, 30.0, 2] for joint in range(len(rig.skeleton.joints))]
    cameras = {camera.id: rows for camera in rig.cameras}
    return {"frames": [{"frame": f"{index:06d}", "cameras": cameras} for index in range(frames)]}

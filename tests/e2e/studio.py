"""A studio that knows only the wire contract: a rig, people moving in it, and a detector that is sometimes wrong.

Nothing here comes from the service's own code: cameras are placed, points projected and heatmaps drawn by hand, in the
view that GET /v1/rigs/{id} answers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Document = dict[str, Any]
HIDDEN_SHARE = 0.2
SIGMA = 1.6

# A person standing at the origin: x to the left, y forward, z up, in metres; the joints of COCO in their order.
STANDING = np.array(
    [
        [0.00, 0.10, 1.62], [0.03, 0.08, 1.66], [-0.03, 0.08, 1.66], [0.08, 0.00, 1.64], [-0.08, 0.00, 1.64],
        [0.20, 0.00, 1.42], [-0.20, 0.00, 1.42], [0.28, 0.05, 1.15], [-0.28, 0.05, 1.15], [0.30, 0.20, 0.95],
        [-0.30, 0.20, 0.95], [0.12, 0.00, 0.95], [-0.12, 0.00, 0.95], [0.14, 0.05, 0.50], [-0.14, 0.05, 0.50],
        [0.15, 0.00, 0.08], [-0.15, 0.00, 0.08],
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Footage:
    """Frames with their truth: joints_world [F, 17, 3], joints_image [F, V, 17, 2], heatmaps [F, V, 17, 64, 64]."""

    frames: list[str]
    cameras: list[str]
    joints_world: NDArray[np.float64]
    joints_image: NDArray[np.float64]
    hidden: NDArray[np.bool_]
    heatmaps: NDArray[np.float16]

    def write_heatmaps(self, path: Path) -> Path:
        """Write the npz of the contract."""
        np.savez(path, heatmaps=self.heatmaps, frames=np.array(self.frames), cameras=np.array(self.cameras))
        return path

    def labels(self) -> Document:
        """The labels of the contract: every joint, hidden ones marked as such."""
        rows = np.concatenate([self.joints_image, np.where(self.hidden, 1.0, 2.0)[..., None]], axis=-1)
        return {
            "frames": [
                {"frame": name, "cameras": {camera: rows[f, v].tolist() for v, camera in enumerate(self.cameras)}}
                for f, name in enumerate(self.frames)
            ]
        }

    def write_labels(self, path: Path) -> Path:
        """Write the labels as a file."""
        path.write_text(json.dumps(self.labels()))
        return path


def ring_rig(rng: np.random.Generator, cameras: int = 4, name: str = "studio") -> Document:
    """Cameras on a ring that look at the middle of the room."""
    placed = []
    for index in range(cameras):
        angle = 2 * np.pi * (index + rng.uniform(-0.15, 0.15)) / cameras
        centre = np.array([3.5 * np.cos(angle), 3.5 * np.sin(angle), rng.uniform(1.3, 2.4)])
        forward = np.array([0, 0, 1.0]) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        focal = rng.uniform(900, 1100)
        placed.append({
            "id": f"cam{index + 1:02d}", "width": 1280, "height": 960,
            "K": [[focal, 0, 640 + rng.uniform(-9, 9)], [0, focal, 480 + rng.uniform(-9, 9)], [0, 0, 1]],
            "dist": [rng.uniform(-0.1, -0.05), 0.01, 0.0, 0.0, 0.0], "model": "opencv",
            "R": rotation.tolist(), "t": (-rotation @ centre).tolist(),
        })  # fmt: skip
    volume = {"min": [-1.2, -1.2, 0], "max": [1.2, 1.2, 2.0]}
    return {"name": name, "joints": "coco17", "units": "m", "cameras": placed, "up": [0, 0, 1], "volume": volume}


def film(rng: np.random.Generator, rig: Document, frames: int, first: int = 0) -> Footage:
    """People in the rig's room; ``rig`` is what the service answers, so that it has the views."""
    joints = people(rng, frames)
    image, view = zip(*(_project(camera, joints) for camera in rig["cameras"]), strict=True)
    joints_image, joints_view = np.stack(image, axis=1), np.stack(view, axis=1)
    hidden = rng.random(joints_view.shape[:3]) < HIDDEN_SHARE
    return Footage(
        frames=[f"{first + index:06d}" for index in range(frames)],
        cameras=[camera["id"] for camera in rig["cameras"]],
        joints_world=joints,
        joints_image=joints_image,
        hidden=hidden,
        heatmaps=detect(rng, joints_view, hidden),
    )


def people(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Poses [F, 17, 3]: turned, moved about, and each joint somewhere near where a standing person has it."""
    turn = rng.uniform(0, 2 * np.pi, frames)
    cos, sin, zero, one = np.cos(turn), np.sin(turn), np.zeros(frames), np.ones(frames)
    rotation = np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=-1).reshape(frames, 3, 3)
    bent = STANDING + rng.normal(0, 0.06, (frames, 17, 3))
    place = np.column_stack([rng.uniform(-0.6, 0.6, (frames, 2)), rng.uniform(-0.05, 0.1, frames)])
    return np.asarray(np.einsum("fij,fkj->fki", rotation, bent) + place[:, None])


def detect(
    rng: np.random.Generator, joints_view: NDArray[np.float64], hidden: NDArray[np.bool_]
) -> NDArray[np.float16]:
    """Heatmaps [F, V, 17, 64, 64]: a peak at the truth, and for a hidden joint a faint one there and a wrong one."""
    seen = joints_view + rng.normal(0, 0.4, joints_view.shape)
    away = rng.uniform(6, 16, hidden.shape) * np.exp(1j * rng.uniform(0, 2 * np.pi, hidden.shape))
    wrong = joints_view + np.stack([away.real, away.imag], axis=-1)
    height = np.where(hidden, rng.uniform(0.05, 0.35, hidden.shape), rng.uniform(0.6, 0.95, hidden.shape))
    maps = height[..., None, None] * _peaks(seen)
    maps = np.maximum(maps, (hidden * rng.uniform(0.5, 0.8, hidden.shape))[..., None, None] * _peaks(wrong))
    return np.clip(maps + np.abs(rng.normal(0, 0.01, maps.shape)), 0, 1).astype(np.float16)


def detection_rate(footage: Footage, rig: Document, poses: Document, pixels: float = 3.0) -> float:
    """Share of 2D joints within ``pixels`` heatmap pixels of the truth."""
    near = []
    for v, camera in enumerate(rig["cameras"]):
        view, K = np.array(camera["view"]["K"]), np.array(camera["K"])
        heatmap_per_raw = np.hypot(view[0, 0], view[1, 0]) / K[0, 0]
        found = np.array([frame["poses2d"][camera["id"]] for frame in poses["frames"]])[..., :2]
        near.append(np.linalg.norm(found - footage.joints_image[:, v], axis=-1) * heatmap_per_raw < pixels)
    return float(np.mean(near))


def error_3d(footage: Footage, poses: Document) -> float:
    """Median distance of the 3D joints to the truth, in the rig's unit; a joint without an answer counts as far off."""
    missing = [np.inf] * 3
    found = np.array([[missing if joint is None else joint for joint in frame["pose3d"]] for frame in poses["frames"]])
    return float(np.median(np.linalg.norm(found - footage.joints_world, axis=-1)))


def _project(camera: Document, joints: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rotation, translation = np.array(camera["R"]), np.array(camera["t"])
    K, dist = np.array(camera["K"], float), np.array(camera["dist"], float)
    flat = joints.reshape(-1, 3)
    image = cv2.projectPoints(flat, cv2.Rodrigues(rotation)[0], translation, K, dist)[0]
    in_camera = flat @ rotation.T + translation
    view = (in_camera / in_camera[:, 2:]) @ np.array(camera["view"]["K"]).T
    return image.reshape(*joints.shape[:2], 2), view[:, :2].reshape(*joints.shape[:2], 2)


def _peaks(points: NDArray[np.float64]) -> NDArray[np.float64]:
    axis = np.arange(64)
    x = np.exp(-((axis - points[..., :1]) ** 2) / (2 * SIGMA**2))
    y = np.exp(-((axis - points[..., 1:]) ** 2) / (2 * SIGMA**2))
    return np.asarray(y[..., :, None] * x[..., None, :])

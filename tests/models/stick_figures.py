"""A capture on the disk whose images show a drawn figure, each limb in a colour of its own."""

import json
from pathlib import Path

import cv2
import numpy as np
from model_rigs import camera_at

from models.geometry import view_to_image
from models.motion import random_motion
from models.rig import Rig
from models.simplebaseline_data import capture

SIZE = (320, 240)


def two_cameras(joints="coco17"):
    """A rig of two small cameras, upright, round a small volume."""
    places = {"left": (3.2, -3.2, 1.5), "right": (3.2, 3.2, 1.8)}
    cameras = [camera_at(at, name=name, focal=260.0, size=SIZE) for name, at in places.items()]
    volume = (np.array([-1.2, -1.2, 0.0]), np.array([1.2, 1.2, 2.0]))
    return Rig(tuple(cameras), joints, "m", np.array([0.0, 0.0, 1.0]), volume)


def write_capture(folder: Path, rig: Rig, frames=10, seed=0):
    """Write rig.json, labels.json and frames/<frame>/<camera>.png; returns the three paths."""
    motion = random_motion(np.random.default_rng(seed), frames, rig.skeleton, roam=0.2)
    seen = np.einsum("vij,fnj->fvni", rig.projections(), np.concatenate([motion, np.ones_like(motion[..., :1])], -1))
    views = seen[..., :2] / seen[..., 2:]
    entries = []
    for frame in range(frames):
        name, rows = f"{frame:06d}", {}
        (folder / "frames" / name).mkdir(parents=True)
        for index, (camera, view) in enumerate(zip(rig.cameras, rig.views, strict=True)):
            points = view_to_image(camera, view, views[frame, index])
            cv2.imwrite(str(folder / "frames" / name / f"{camera.id}.png"), draw(points, rig.skeleton))
            rows[camera.id] = np.column_stack([points, np.full(len(points), 2)]).tolist()
        entries.append({"frame": name, "cameras": rows})
    (folder / "rig.json").write_text(json.dumps(rig.to_dict()))
    (folder / "labels.json").write_text(json.dumps({"frames": entries}))
    return folder / "rig.json", folder / "labels.json", folder / "frames"


def draw(points, skeleton):
    """The figure with joints [J, 2] on grey."""
    image = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
    for index, (a, b) in enumerate(skeleton.limbs):
        colour = (40 + 53 * index % 216, 255 - 31 * index % 216, 40 + 97 * index % 216)
        ends = [tuple(round(x) for x in points[end]) for end in (a, b)]
        cv2.line(image, *ends, colour, 5, cv2.LINE_AA)
    return image


def source(folder: Path, **options):
    """A drawn capture, read."""
    return capture(*write_capture(folder, two_cameras(), **options))

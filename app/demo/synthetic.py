"""The two scenes of a seeded synthetic world: cameras known exactly, and the same cameras reported with an error.

The heatmaps are those of a simulated detector that loses hidden joints and puts confident peaks elsewhere: nothing is
downloaded and the truth is exact.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.demo.clip import frame_name
from app.demo.evaluate import HALF_HEAD_MM, Truth
from app.demo.scene import Scene, Upload, save_heatmaps
from models.geometry import view_to_image
from models.rig import Rig
from models.worlds import Detector, World, disturb, make_world, random_rig

Array = NDArray[np.float64]
SEED = 20
_VOLUME = (np.array([-1.3, -1.3, 0.0]), np.array([1.3, 1.3, 2.0]))
CAMERAS = 4
LEARN, TEST = range(50), range(55, 99)
LABEL_NOISE_PX = 0.25
FRAMES_PER_SECOND = 10.0
ERROR_DEGREES = {"exact": 0.0, "disturbed": 0.7}


def scenes(scratch: Path, progress: Callable[[], None]) -> tuple[Scene, ...]:
    """Both scenes, their uploads written under ``scratch``; ``progress`` is called once a scene."""
    built = []
    for name, degrees in ERROR_DEGREES.items():
        built.append(_scene(name, degrees, scratch))
        progress()
    return tuple(built)


def _scene(name: str, degrees: float, scratch: Path) -> Scene:
    rng = np.random.default_rng(SEED)
    true = replace(random_rig(rng, CAMERAS), up=np.array([0.0, 0.0, 1.0]), volume=_VOLUME)
    sent = Rig.from_dict(disturb(rng, true, degrees).to_dict())
    # Heatmaps live in the views of the rig as it is sent, whatever the cameras that took them really were.
    actual = sent.with_poses(np.stack([c.R for c in true.cameras]), np.stack([c.t for c in true.cameras]))
    world = make_world(rng, actual, TEST.stop, Detector())
    cameras = [camera.id for camera in sent.cameras]
    uploads = {part: scratch / f"{name}-{part}.npz" for part in ("capture", "test")}
    for part, frames in (("capture", LEARN), ("test", TEST)):
        names = [frame_name(frame) for frame in frames]
        save_heatmaps(uploads[part], world.heatmaps[list(frames)], names, cameras)
    return Scene(
        name=name,
        title="Exact cameras" if degrees == 0 else f"Cameras off by {degrees:g}°",
        about=_about(world, degrees),
        rig=sent,
        labels=_labels(rng, world, cameras),
        capture=Upload(uploads["capture"], images=False),
        test=Upload(uploads["test"], images=False),
        truth=_truth(world),
        frames_per_second=FRAMES_PER_SECOND,
        truth_name="truth",
        truth_source="exact, from the simulation",
    )


def _about(world: World, degrees: float) -> str:
    calibration = "sent exactly" if degrees == 0 else f"each sent turned by {degrees:g}° about a random axis"
    return f"a simulated world with {world.hidden.mean():.0%} of the joints hidden; {CAMERAS} cameras, {calibration}"


def _labels(rng: np.random.Generator, world: World, cameras: list[str]) -> dict[str, Any]:
    labelled = world.labelled(rng, LABEL_NOISE_PX)
    joints = np.nan_to_num(_to_image(world.rig, labelled.joints_view))
    rows = np.concatenate([joints, labelled.visibility[..., None]], axis=-1)
    return {
        "frames": [
            {
                "frame": frame_name(frame),
                "cameras": {camera: rows[frame, view].tolist() for view, camera in enumerate(cameras)},
            }
            for frame in LEARN
        ]
    }


def _truth(world: World) -> Truth:
    test = list(TEST)
    rig, joints = world.rig, world.joints_world[test]
    inside = world.labelled().visibility[test] > 0
    return Truth(
        frames=tuple(frame_name(frame) for frame in test),
        joints_image=_to_image(rig, world.joints_view[test]),
        joints_world=joints * rig.metres_per_unit,
        scored=inside,
        hidden=world.hidden[test],
        radius_px=_half_head_px(rig, joints),
        skeleton=rig.skeleton,
    )


def _to_image(rig: Rig, joints_view: Array) -> Array:
    """Heatmap pixels [F, V, J, 2] → raw image pixels."""
    return np.stack(
        [
            view_to_image(camera, view, joints_view[:, index])
            for index, (camera, view) in enumerate(zip(rig.cameras, rig.views, strict=True))
        ],
        axis=1,
    )


def _half_head_px(rig: Rig, joints: Array) -> Array:
    """Half a head at the depth of joints [F, J, 3], in raw image pixels [F, V, J]."""
    depth = np.stack([(joints @ camera.R.T + camera.t)[..., 2] for camera in rig.cameras], axis=1)
    focal = np.array([camera.K[0, 0] for camera in rig.cameras])[:, None]
    return focal * HALF_HEAD_MM / 1000.0 / (depth * rig.metres_per_unit)

"""Large synthetic halls for benchmarks.person_crops, in which a person is small, seen through any view."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.demo.evaluate import HALF_HEAD_MM, Truth
from benchmarks._person_recording import Scene
from models import geometry
from models.adaptation import adapt
from models.crops import See
from models.labelled import LabelledFrames
from models.motion import random_motion
from models.occluders import occlude
from models.rig import Camera, Rig
from models.runtime import Engine
from models.views import View
from models.worlds import Detector, detect, disturb, look_at

Array = NDArray[np.float64]
SEED = 30_000
SIDES_M = (4.0, 6.0, 8.0)
DEGREES = (0.0, 1.0)
LEARN, TEST, CLIPS = 50, 30, 5
LABEL_NOISE_PX = 3.0  # an annotator's, in raw image pixels
_SIZE = (1920, 1080)


def hall(rng: np.random.Generator, side: float) -> Rig:
    """Four cameras outside the corners of a hall ``side`` metres wide, each of which sees all of it."""
    cameras = []
    for index in range(4):
        angle = np.pi / 4 + index * np.pi / 2 + rng.uniform(-0.2, 0.2)
        distance = (0.75 * side + 1.5) * rng.uniform(0.95, 1.1)
        position = np.array([distance * np.cos(angle), distance * np.sin(angle), rng.uniform(2.0, 3.2)])
        focal = 0.5 * _SIZE[0] / np.tan(np.radians(rng.uniform(38, 44)))
        K = np.array([[focal, 0, _SIZE[0] / 2], [0, focal, _SIZE[1] / 2], [0, 0, 1]])
        R = look_at(position, np.array([0.0, 0, 1.0]))
        cameras.append(Camera(f"cam{index + 1:02d}", *_SIZE, K, R, -R @ position))
    volume = (np.array([-side / 2, -side / 2, 0.0]), np.array([side / 2, side / 2, 2.2]))
    return Rig(tuple(cameras), "coco17", "m", np.array([0.0, 0, 1]), volume)


@dataclass(frozen=True)
class Take:
    """Joints [F, J, 3], somebody else's [F, J, 3] or NaN, and which joints are hidden [F, V, J], in a hall."""

    rig: Rig
    joints: Array
    others: Array
    hidden: NDArray[np.bool_]

    @classmethod
    def of(cls, rng: np.random.Generator, rig: Rig, frames: int, detector: Detector) -> "Take":
        """Several clips of somebody somewhere in the hall."""
        low, high = rig.volume or (np.zeros(3), np.zeros(3))
        bounds = np.linspace(0, frames, CLIPS + 1).astype(int)
        takes = [slice(start, stop) for start, stop in pairwise(bounds.tolist())]
        parts = []
        for take in takes:
            place = np.append(rng.uniform(low[:2] + 1.0, high[:2] - 1.0), 0)
            parts.append(random_motion(rng, take.stop - take.start, rig.skeleton) + place)
        joints = np.concatenate(parts)
        hidden, others = occlude(
            rng, joints, np.stack([camera.centre for camera in rig.cameras]), body=rig.skeleton, share=detector.hidden,
            takes=takes, another=lambda count: random_motion(rng, count, rig.skeleton),
        )  # fmt: skip
        return cls(rig, joints, others, hidden)

    def points(self, joints: Array, views: Sequence[View]) -> Array:
        """Joints [F, J, 3] in the pixels of views [F, V, J, 2], seen by the true cameras."""
        flat = geometry.project(self.rig.with_views(views).projections(), joints.reshape(-1, 3))
        return flat.reshape(*joints.shape[:2], -1, 2).swapaxes(1, 2)

    def see(self, seed: int, detector: Detector, views: Sequence[View], frame: int) -> NDArray[np.float32]:
        """The detector's heatmaps [V, J, 64, 64] of a frame; what it does to a joint differs from look to look."""
        rng = np.random.default_rng([seed, frame, int(1e6 * views[0].scale)])
        one = slice(frame, frame + 1)
        points, others = self.points(self.joints[one], views), self.points(self.others[one], views)
        return detect(rng, self.rig.with_views(views), points, self.hidden[one], detector, others=others)[0]

    def labelled(self, rng: np.random.Generator, heatmaps: NDArray[np.float32]) -> LabelledFrames:
        """Labels of all joints inside the fixed views."""
        points = self.points(self.joints, self.rig.views)
        pixel = [
            geometry.image_pixels_per_heatmap_pixel(*both)
            for both in zip(self.rig.cameras, self.rig.views, strict=True)
        ]
        noise = rng.normal(0, 1, points.shape) * (LABEL_NOISE_PX / np.array(pixel))[:, None, None]
        inside = (np.abs(points - 31.5) < 32).all(-1)
        marks = np.where(inside, np.where(self.hidden, 1, 2), 0).astype(np.uint8)
        names = tuple(f"{index:06d}" for index in range(len(points)))
        return LabelledFrames(names, heatmaps, np.where(inside[..., None], points + noise, np.nan), marks)

    def truth(self) -> Truth:
        """All joints, seen by the true cameras; half a head at the joint's own depth."""
        fixed = zip(self.rig.cameras, self.rig.views, strict=True)
        points = self.points(self.joints, self.rig.views)
        image = [geometry.view_to_image(camera, view, points[:, v]) for v, (camera, view) in enumerate(fixed)]
        depth = np.stack([self.joints @ c.R[2] + c.t[2] for c in self.rig.cameras], axis=1)
        focal = np.array([camera.K[0, 0] for camera in self.rig.cameras])[:, None]
        return Truth(
            frames=tuple(f"{index:06d}" for index in range(len(self.joints))),
            joints_image=np.stack(image, axis=1),
            joints_world=self.joints,
            scored=np.ones(self.hidden.shape, bool),
            hidden=self.hidden,
            radius_px=HALF_HEAD_MM / 1000 * focal / depth,
            skeleton=self.rig.skeleton,
        )


def scenes() -> Iterator[Scene]:
    """Halls of every size, their cameras as they are and as a careless calibration reports them; both are adapted."""
    detector = Detector.fitted()
    for side in SIDES_M:
        rng = np.random.default_rng(SEED + int(side))
        rig = hall(rng, side)
        learn, test = (Take.of(rng, rig, count, detector) for count in (LEARN, TEST))
        heatmaps = np.stack([learn.see(1, detector, rig.views, frame) for frame in range(LEARN)])
        labelled = learn.labelled(rng, heatmaps)
        for degrees in DEGREES:
            sent = disturb(rng, rig, degrees)
            engines = {"fused": Engine.load(sent, adapt(sent, labelled)), "no fusion": Engine.unfused(sent)}
            yield Scene(f"hall of {side:g} m, {degrees:g}°", sent, engines, test.truth(), _eyes(test, detector))


def _eyes(test: Take, detector: Detector) -> Callable[[int], See]:
    def at(frame: int) -> See:
        return partial(test.see, 2, detector, frame=frame)

    return at

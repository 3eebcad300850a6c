"""A library of recorded motion that the worlds draw takes from, mixed with procedural motion."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.motion import random_motion
from models.motions.arrays import read_arrays
from models.motions.body import Clip, indices, mirrored
from models.motions.bvh import read_bvh
from models.motions.deepmimic import find_clips, read_deepmimic
from models.skeletons import Skeleton

Array = NDArray[np.float64]

DEEPMIMIC = "deepmimic"
STEP_S = 0.1  # successive frames differ as random_motion's do: about ten a second
_READERS = {".bvh": read_bvh, ".npz": read_arrays, ".txt": read_deepmimic}
_PATTERNS = ("*.bvh", "*.npz", "humanoid3d_*.txt")


@dataclass(frozen=True)
class MotionLibrary:
    """Clips of real motion; ``procedural`` is the share of takes that ``random_motion`` makes instead."""

    clips: tuple[Clip, ...]
    procedural: float = 0.25

    @classmethod
    def open(
        cls, sources: str | Path | Sequence[str | Path] = DEEPMIMIC, *, procedural: float = 0.25
    ) -> "MotionLibrary":
        """Read files, folders of files (*.bvh, *.npz, humanoid3d_*.txt), or the clips of the package pybullet.

        ``"deepmimic"`` stands for the last. Raises InvalidInput, naming the file that cannot be read.
        """
        if not 0 <= procedural <= 1:
            raise InvalidInput("The share of procedural motion lies in 0…1.", at="procedural", code="invalid_motion")
        named = [sources] if isinstance(sources, str | Path) else list(sources)
        files = [path for source in named for path in _files(source)]
        if not files and procedural < 1:
            raise InvalidInput(
                "Recorded motion is asked for, but no source named.", at="motions", code="invalid_motion"
            )
        return cls(tuple(_READERS[path.suffix.lower()](path) for path in files), procedural)

    @property
    def digest(self) -> str:
        """SHA-256 of the clips, for the record of what was trained on."""
        digest = hashlib.sha256()
        for clip in self.clips:
            digest.update(f"{clip.name} {clip.fps:.6f}".encode())
            digest.update(np.ascontiguousarray(clip.joints.round(6)).tobytes())
        return digest.hexdigest()

    def sample(self, rng: np.random.Generator, frames: int, skeleton: Skeleton, *, roam: float = 0.8) -> Array:
        """Joints [frames, J, 3] of one take in metres, z up, within ``roam`` metres of the origin or so.

        Clip, start, heading, speed, size, side (mirrored or not) and place are random. A take that is longer than its
        clip goes back along it, and where even that is too short goes on, after a cut, with another clip.
        """
        if rng.random() < self.procedural:
            return random_motion(rng, frames, skeleton, roam=roam)
        pieces: list[Array] = []
        while (missing := frames - sum(map(len, pieces))) > 0:
            pieces.append(_window(rng, self.clips[rng.integers(len(self.clips))], missing))
        joints = _placed(rng, np.concatenate(pieces), roam)
        return joints[:, indices(skeleton)]


def _files(source: str | Path) -> list[Path]:
    if source == DEEPMIMIC:
        return list(find_clips())
    path = Path(source)
    files = sorted({file for pattern in _PATTERNS for file in path.glob(pattern)}) if path.is_dir() else [path]
    if not files:
        raise InvalidInput(f"{path} holds no {', '.join(_PATTERNS)}.", at="motions", code="invalid_motion")
    for file in files:
        if not file.is_file() or file.suffix.lower() not in _READERS:
            raise InvalidInput(f"{file} is no BVH, npz or DeepMimic file.", at="motions", code="invalid_motion")
    return files


def _window(rng: np.random.Generator, clip: Clip, frames: int) -> Array:
    """Up to ``frames`` frames from somewhere in a clip [n, len(BODY), 3], about ``STEP_S`` apart."""
    step = STEP_S * rng.uniform(0.7, 1.4)
    count = min(frames, 2 + int(2 * clip.seconds / step))
    spare = clip.seconds - (count - 1) * step
    start = rng.uniform(0, spare) if spare > 0 else rng.uniform(0, clip.seconds)
    seconds = start + step * np.arange(count)
    if clip.seconds > 0:  # back and forth
        seconds = clip.seconds - np.abs(seconds % (2 * clip.seconds) - clip.seconds)
    place = np.clip(seconds * clip.fps, 0, len(clip.joints) - 1)
    before = place.astype(int)
    after, share = np.minimum(before + 1, len(clip.joints) - 1), (place - before)[:, None, None]
    joints: Array = (1 - share) * clip.joints[before] + share * clip.joints[after]
    joints[..., :2] -= joints[:, :1, :2].mean(0)
    return joints[:, mirrored()] * np.array([-1.0, 1.0, 1.0]) if rng.random() < 0.5 else joints


def _placed(rng: np.random.Generator, joints: Array, roam: float) -> Array:
    """Turned, sized and set somewhere; a path that leads out of the studio is drawn together, as on a treadmill."""
    size, heading = rng.uniform(0.88, 1.1), rng.uniform(-np.pi, np.pi)
    cos, sin = np.cos(heading), np.sin(heading)
    turned = size * joints @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    path = turned[:, :1, :2]
    reach = np.abs(path).max()
    turned[..., :2] -= path * (1 - min(1.0, roam / max(reach, 1e-9)))
    turned[..., :2] += roam / 2 * np.clip(rng.standard_normal(2), -2, 2)
    return turned

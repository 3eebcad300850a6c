"""What the gate is tried on: adapted rigs, good ones and spoiled, measured on the frames held out and on many more."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from models import evaluation
from models.adaptation import adapt
from models.affine import theta_of_pair
from models.baselines import calibrated_theta
from models.checkpoint import Checkpoint
from models.evaluation import Measures
from models.geometry import fundamental_matrix
from models.labelled import LabelledFrames
from models.rig import Rig
from models.runtime import Engine
from models.worlds import Detector, World, disturb, make_world, random_rig

SEED = 81_000
TAKE = 5  # neighbouring frames
TEST_FRAMES = 120
OCCLUDED, OPEN = Detector(), Detector(hidden=0.0, slip=0.0)


@dataclass(frozen=True)
class Condition:
    """How a rig is sent and labelled."""

    name: str
    frames: int = 50
    degrees: float = 0.0
    noise_px: float = 0.25
    cameras: int = 4
    detector: Detector = OCCLUDED


CONDITIONS = (
    Condition("exact, 50 frames"),
    Condition("exact, 20 frames", frames=20),
    Condition("exact, 10 frames", frames=10),
    Condition("1° off, 50 frames", degrees=1.0),
    Condition("1° off, 10 frames", frames=10, degrees=1.0),
    Condition("labels 1 px off, 50 frames", noise_px=1.0),
    Condition("2 cameras, 50 frames", cameras=2),
    Condition("nothing hidden, 50 frames", detector=OPEN),
)
RIGS = 4
RIVALS = ("no_fusion", "epipolar", "robust_triangulation")


@dataclass(frozen=True)
class Trial:
    """An engine's measures on the frames held out, and on test frames by labels as noisy and by the truth."""

    held_out: Measures
    labelled: Measures
    true: Measures


def cases() -> Iterator[tuple[Condition, int]]:
    """All conditions on all rigs."""
    for rig in range(RIGS):
        for condition in CONDITIONS:
            if rig < 3 or condition.frames in (50, 10):
                yield condition, rig


def trials(condition: Condition, rig: int, cache: Path) -> Mapping[str, Trial]:
    """All engines of a case; measured once, then read from ``cache``."""
    path = cache / f"{condition.name.replace(' ', '_').replace('°', 'deg')}-{rig}.npz"
    if not path.exists():
        _save(path, _measured(condition, rig))
    with np.load(path) as arrays:
        names = dict.fromkeys(key.split("/")[0] for key in arrays)
        return {name: Trial(*(_read(arrays, f"{name}/{part}") for part in _PARTS)) for name in names}


_PARTS = tuple(Trial.__dataclass_fields__)


def _read(arrays: Mapping[str, np.ndarray], name: str) -> Measures:
    return Measures(*(arrays[f"{name}/{field}"] for field in Measures.__dataclass_fields__))


def _save(path: Path, measured: Mapping[str, Trial]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{name}/{part}/{field}": values.astype(np.float32)
        for name, trial in measured.items()
        for part in _PARTS
        for field, values in asdict(getattr(trial, part)).items()
    }
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **arrays)
    partial.rename(path)


def _measured(condition: Condition, index: int) -> dict[str, Trial]:
    rng = np.random.default_rng(SEED + index)
    rig = random_rig(rng, condition.cameras)
    learn = make_world(rng, rig, 50, condition.detector, clips=50 // TAKE)
    test = make_world(rng, rig, TEST_FRAMES, condition.detector, clips=TEST_FRAMES // TAKE)
    sent = disturb(rng, rig, condition.degrees) if condition.degrees else rig
    labelled = learn.labelled(rng, condition.noise_px)
    frames = labelled.subset(np.linspace(0, 49, condition.frames).astype(int))
    checkpoint = adapt(sent, frames)
    named = checkpoint.metrics["held_out_frames"]
    held_out = frames.subset([frames.frames.index(name) for name in named])
    noisy = test.labelled(rng, condition.noise_px)
    engines = {
        "no_fusion": Engine.unfused(sent),
        "epipolar": Engine.epipolar(sent),
        "robust_triangulation": Engine.triangulated(sent),
        "fused": Engine.load(sent, checkpoint),
    } | {name: Engine.load(sent, bad) for name, bad in spoiled(sent, checkpoint, rng).items()}
    return {name: _trial(engine, checkpoint.rig(sent), held_out, noisy, test) for name, engine in engines.items()}


def _trial(engine: Engine, cameras: Rig, held_out: LabelledFrames, noisy: LabelledFrames, test: World) -> Trial:
    poses, exact = evaluation.run(engine, noisy), test.labelled()
    space = evaluation.labels_in_space
    return Trial(
        evaluation.measures(engine, evaluation.run(engine, held_out), held_out, space(cameras, held_out)),
        evaluation.measures(engine, poses, noisy, space(cameras, noisy)),
        evaluation.measures(engine, poses, exact, test.joints_world),
    )


def spoiled(sent: Rig, good: Checkpoint, rng: np.random.Generator) -> dict[str, Checkpoint]:
    """The checkpoint as a fault would leave it; the joints are those of the fusion alone, where a fault shows."""
    assert good.theta is not None  # noqa: S101 - the default method's checkpoints have it
    turned = disturb(rng, good.rig(sent), 0.7)
    other = random_rig(rng, len(sent.cameras))
    P = other.projections()
    foreign = np.stack([theta_of_pair(fundamental_matrix(P[a], P[b]), 1.0) for a, b in other.pairs])
    alone = replace(good, project=False, limbs=None)
    return {
        "gains ×3": replace(alone, gains=3 * good.gains),
        "pairs exchanged": replace(alone, theta=np.roll(good.theta, 1, axis=0)),
        "another rig's θ": replace(alone, theta=foreign.astype(np.float32)),
        "cameras 0.7° off": replace(
            good,
            theta=calibrated_theta(turned).astype(np.float32),
            R=np.stack([camera.R for camera in turned.cameras]),
            t=np.stack([camera.t for camera in turned.cameras]),
        ),
    }

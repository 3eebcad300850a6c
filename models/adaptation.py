"""Adapting a new rig to about 50 labelled frames: one door to all methods.

Frames are held out first; the method learns from the others; then it is judged on those held out, in the same way
whatever the method, against what a studio could do without adapting.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models import epipolar, evaluation, finetuning, metafuse, metrics, naivefuse, naivefuse_meta
from models.checkpoint import Checkpoint
from models.curves import Observe
from models.duplicates import first_alike
from models.fallback import fall_back
from models.fanout import Spread, in_turn
from models.judgement import Serving, judge
from models.labelled import LabelledFrames, check_distinct, check_enough
from models.learning import Learned, Parts, Progress, Task
from models.limbs import median_limb_lengths
from models.methods import validate_options
from models.rig import Rig
from models.runtime import Engine
from models.starts import shipped_start
from models.uncertainty import doubt_from_labels

_BLOCKS = 10


def adapt(
    rig: Rig,
    labelled: LabelledFrames,
    *,
    method: str = "metafuse",
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    progress: Progress = lambda _stage, _fraction: None,
    capture_digest: str = "",
    device: str = "cpu",
    incumbent: Checkpoint | None = None,
    used: bool = False,
    spread: Spread = in_turn,
    observe: Observe | None = None,
) -> Checkpoint:
    """Adapt a rig to its labelled frames.

    ``incumbent`` is the checkpoint that the rig serves with, which the new one must beat; without one, ``used`` says
    whether the rig has served joints in space yet, in the world of the extrinsics sent.
    ``spread`` takes the pieces of work that may be done elsewhere (models.fanout).
    ``observe`` is told the learning curves (models.curves), which changes nothing that is learned.
    ``progress(stage, fraction of the whole)`` may raise to stop. The result is deterministic for a seed and device.
    Raises InvalidOptions, and InsufficientLabels where the frames left after holding some out are too few.
    """
    chosen = validate_options(method, options or {})
    check_enough(labelled.visibility)
    check_distinct(labelled.joints_view)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    progress("split", 0.0)
    parts = _split(labelled, chosen.holdout, rng)
    learned = _LEARN[method](Task(rig, parts, chosen, rng, progress, device, spread, observe))
    lineage = {
        "frames": len(labelled.frames), "doubt": round(doubt_from_labels(parts.seen), 4), **learned.lineage,
        "device": device, "torch": str(torch.__version__),
    }  # fmt: skip
    draft = _draft(rig, learned, method=method, seed=seed, capture_digest=capture_digest, lineage=lineage)
    progress("evaluate", 0.7)
    read = partial(_read_best, rig, learned.cameras, parts, may_project=learned.may_project)
    draft = read(draft)
    progress("evaluate", 0.8)
    frames = parts.seen if learned.may_project else parts.choose  # what has many numbers knows the others by heart
    draft = fall_back(rig, draft, frames, read)
    progress("evaluate", 0.85)
    return judge(rig, draft, parts.held_out, Serving(incumbent, used, chosen.allow_new_world), progress)


def _draft(
    rig: Rig, learned: Learned, *, method: str, seed: int, capture_digest: str, lineage: dict[str, Any]
) -> Checkpoint:
    """What was learned as a checkpoint, before anything is judged."""
    cameras = learned.cameras
    return Checkpoint(
        method=method, seed=seed, rig_digest=rig.digest, capture_digest=capture_digest, omega=learned.omega,
        theta=learned.theta, left=learned.left, right=learned.right, gains=learned.gains.astype(np.float32),
        R=np.stack([c.R for c in cameras.cameras]), t=np.stack([c.t for c in cameras.cameras]),
        repaired=cameras is not rig, project=learned.may_project, lineage=lineage,
    )  # fmt: skip


_LEARN: Mapping[str, Callable[[Task], Learned]] = {
    "metafuse": metafuse.learn,
    "affinefuse": lambda task: finetuning.learn(task, shipped_start("affinefuse")),
    "metafuse_paper": lambda task: finetuning.learn(task, shipped_start("metafuse_paper")),
    "naivefuse": naivefuse.learn,
    "naivefuse_meta": naivefuse_meta.learn,
    "epipolar": epipolar.learn,
}


def _split(labelled: LabelledFrames, holdout: float, rng: np.random.Generator) -> Parts:
    """Hold whole runs of neighbouring frames out, since neighbours in time are nearly the same picture.

    Frames that show one pose again stay together: what was learned from is no evidence.
    """
    first = first_alike(labelled.joints_view)
    poses = np.unique(first)
    blocks = [np.flatnonzero(np.isin(first, run)) for run in np.array_split(poses, min(_BLOCKS, len(poses)))]
    order = rng.permutation(len(blocks))
    held = max(1, round(holdout * len(blocks)))
    choose = max(1, round(0.25 * (len(blocks) - held)))
    groups = np.split(order, [held, held + choose])
    held_out, chosen, fit = (labelled.subset(np.concatenate([blocks[i] for i in sorted(group)])) for group in groups)
    return Parts(fit, chosen, held_out)


def _read_best(rig: Rig, cameras: Rig, parts: Parts, draft: Checkpoint, *, may_project: bool) -> Checkpoint:
    """How 2D joints are told: as fused peaks, as projections of joints placed one by one, or of a body placed whole."""
    if not may_project:
        return draft
    direct, seen = Engine.load(rig, draft), parts.seen
    truth = evaluation.labels_in_space(cameras, seen)
    known: NDArray[np.float64] = np.all(np.isfinite(truth), axis=-1).astype(np.float64)
    limbs = median_limb_lengths(truth, known, rig.skeleton, metres_per_unit=rig.metres_per_unit)
    ways = [
        (direct.reading(project=False), replace(draft, project=False, limbs=None)),
        (direct.reading(project=True), replace(draft, project=True, limbs=None)),
        (direct.reading(project=True, limbs=limbs), replace(draft, project=True, limbs=limbs)),
    ]
    rates = [_jdr(engine, parts.choose) for engine, _ in ways]
    return ways[max(range(len(ways)), key=lambda way: (rates[way], way))][1]


def _jdr(engine: Engine, frames: LabelledFrames) -> float:
    threshold = metrics.half_head_px(engine.rig.skeleton, frames.joints_view)[..., None]
    return metrics.jdr(evaluation.run(engine, frames).joints_view, frames.joints_view, threshold)

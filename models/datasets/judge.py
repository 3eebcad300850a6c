"""Scoring a way of fusing on the test recordings of a data set."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models import metrics
from models.checkpoint import Checkpoint
from models.datasets.protocol import Advance, Stage
from models.datasets.scores import Outcome
from models.datasets.sequence import common_joints
from models.datasets.shots import Shot
from models.rig import Rig
from models.runtime import Engine

Array = NDArray[np.float64]
_CHUNK = 32  # frames at a time; the pictorial model measures the person's limbs on as many

UNLEARNED: Mapping[str, Callable[[Rig], Engine]] = {"none": Engine.unfused, "triangulated": Engine.triangulated}


def engine_of(checkpoint: Checkpoint, adapted: Rig, rig: Rig) -> Engine:
    """The engine for a recording: its fusion is what was learned on the rig adapted.

    Where the recording was calibrated anew, its own cameras triangulate, as for every other method.
    """
    if rig.digest == adapted.digest:
        return Engine.load(rig, checkpoint)
    R, t = (np.stack([getattr(camera, name) for camera in rig.cameras]) for name in ("R", "t"))
    return Engine.load(rig, replace(checkpoint, rig_digest=rig.digest, R=R, t=t))


def judge(stage: Stage, make: Callable[[Rig], Engine], triangulations: tuple[str, ...], advance: Advance) -> Outcome:
    """Run an engine on all test frames; ``advance(n)`` is told of n frames more."""
    parts: list[tuple[Array, ...]] = []
    engines: dict[str, Engine] = {}
    for shot, index, rows in stage.tests():
        digest = shot.rig.digest
        if digest not in engines:
            engines[digest] = make(shot.rig)
        for start in range(0, len(rows), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            heatmaps = stage.test_heatmaps.load(rows[chunk])
            parts.append(_scored(engines[digest], shot, index[chunk], heatmaps, triangulations))
            advance(len(heatmaps))
    hits, counts, truths, *errors = (np.concatenate(part) for part in zip(*parts, strict=True))
    wanted = common_joints(stage.test[0].shot.sequence.rig.skeleton, stage.rig.skeleton)
    kept = [stage.rig.skeleton.joints.index(name) for name in wanted]
    return Outcome(
        wanted, hits[:, kept].astype(np.intp), counts[:, kept].astype(np.intp), truths[:, kept].astype(np.bool_),
        {name: error[:, kept] for name, error in zip(triangulations, errors, strict=True)},
    )  # fmt: skip


def _scored(
    engine: Engine, shot: Shot, index: NDArray[np.intp], heatmaps: NDArray[np.float32], triangulations: tuple[str, ...]
) -> tuple[Array, ...]:
    """Hits, counts and truths [N, J], then one array of errors in mm [N, J] for each way to triangulate."""
    labels, threshold = shot.labels[index], shot.half_head[index][..., None]
    labelled = np.isfinite(labels[..., 0])
    truth = np.where((labelled.sum(1) >= 2)[..., None], shot.joints[index], np.nan)  # in two images, or nobody could
    scale = 1000 * shot.rig.metres_per_unit
    results = [engine.poses(heatmaps, name) for name in triangulations]
    found = metrics.detected(results[0].joints_view, labels, threshold) & labelled
    errors = [scale * np.linalg.norm(poses.pose3d - truth, axis=-1) for poses in results]
    return found.sum(1), labelled.sum(1), np.isfinite(truth[..., 0]), *errors

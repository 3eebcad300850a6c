"""Where fusing harms: pairs that are left out, and cameras that fall back to their own heatmaps.

Decided on frames that the method may look at, never on those held out, and only by paired evidence: what merely does
not help stays, since it may help elsewhere. The level is shared out over all that is tried (Bonferroni), so that a rig
in order loses a pair about once in forty adaptations.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import evaluation, metrics
from models.checkpoint import Checkpoint
from models.evaluation import rounded
from models.fusion import Fuser
from models.heatmap import decode
from models.intervals import LEVEL, Draws, Interval
from models.labelled import LabelledFrames
from models.rig import Rig
from models.runtime import Engine

Array = NDArray[np.float64]
_MOST, _LEAST, _BUDGET = 40, 12, 600  # frames to decide on, and frames × pairs
_SUSPECTS, _SUSPICIOUS = 12, 0.01  # pairs that are tried, and from which rise of JDR on
_LEAST_FUSED = 2  # cameras
_CHUNK = 8


def fall_back(
    rig: Rig, draft: Checkpoint, frames: LabelledFrames, read: Callable[[Checkpoint], Checkpoint]
) -> Checkpoint:
    """The checkpoint without the pairs and cameras that fusing harms on ``frames``; its metrics tell them in words.

    Cameras fall back one by one, the surest first, since a bad one makes the others look bad; ``read`` chooses anew
    how 2D joints are told by those that are left.
    """
    count = min(_MOST, max(_LEAST, _BUDGET // len(rig.pairs)), len(frames.frames))
    frames = frames.subset(np.unique(np.linspace(0, len(frames.frames) - 1, count).astype(int)))
    pairs = _harmful_pairs(Engine.load(rig, draft), draft.gains, frames)
    gains = draft.gains.copy()
    gains[list(pairs)] = 0
    draft, rows = replace(draft, gains=gains), []
    own = _served(rig, Engine.unfused(rig), frames)
    while len(rig.cameras) - len(draft.alone) > _LEAST_FUSED and (harm := _harmed_camera(rig, draft, frames, own)):
        view, gain = harm
        rows.append(_camera_row(rig, view, gain))
        gains = np.where([view in pair for pair in rig.pairs], np.float32(0), draft.gains)
        draft = read(replace(draft, gains=gains, alone=(*draft.alone, rig.cameras[view].id)))
    told = {
        "frames": len(frames.frames),
        "cameras": rows,
        "pairs": [_pair_row(rig, pair, gain) for pair, gain in pairs.items()],
    }
    return replace(draft, metrics={**draft.metrics, "fallback": told})


def _harmed_camera(rig: Rig, draft: Checkpoint, frames: LabelledFrames, own: Array) -> tuple[int, Interval] | None:
    """The view whose own heatmaps most surely find more joints, ``own`` [F, V, J], than is served; how many more."""
    served = _served(rig, Engine.load(rig, draft), frames)
    draws, views = Draws.of(len(served)), len(rig.cameras)
    fused = [view for view, camera in enumerate(rig.cameras) if camera.id not in draft.alone]
    gains = {view: draws.mean(own[:, view] - served[:, view], 1 - (1 - LEVEL) / views) for view in fused}
    view = max(gains, key=lambda view: gains[view].low)
    return (view, gains[view]) if gains[view].low > 0 else None


def _harmful_pairs(engine: Engine, gains: NDArray[np.floating], frames: LabelledFrames) -> dict[int, Interval]:
    """Pairs without which more fused peaks of their target are right, and how many more."""
    tried = _suspects(engine, gains, frames.subset(range(0, len(frames.frames), 2)))
    if engine.fuser is None or not tried:
        return {}
    found = _found(engine.rig, engine.fuser, frames)
    draws, harmful = Draws.of(len(found)), dict[int, Interval]()
    for p in tried:
        target = engine.rig.pairs[p][0]
        without = engine.fuser.weighing(np.where(np.arange(len(gains)) == p, 0, gains))
        change = _found(engine.rig, without, frames)[:, target] - found[:, target]
        gain = draws.mean(change, 1 - (1 - LEVEL) / len(gains))
        if gain.low > 0:
            harmful[p] = gain
    return harmful


def _suspects(engine: Engine, gains: NDArray[np.floating], frames: LabelledFrames) -> list[int]:
    """Pairs whose target finds more when nobody listens to their source, the largest rise first."""
    if engine.fuser is None:
        return []
    pairs, found = np.array(engine.rig.pairs), _found(engine.rig, engine.fuser, frames)
    rise = np.zeros(len(pairs))
    for source in range(len(engine.rig.cameras)):
        without = engine.fuser.weighing(np.where(pairs[:, 1] == source, 0, gains))
        change = _found(engine.rig, without, frames) - found
        for p in np.flatnonzero((pairs[:, 1] == source) & (gains > 0)).tolist():
            rise[p] = evaluation.mean(change[:, pairs[p, 0]])
    return [int(p) for p in np.argsort(-rise, kind="stable")[:_SUSPECTS] if rise[p] > _SUSPICIOUS]


def _served(rig: Rig, engine: Engine, frames: LabelledFrames) -> Array:
    """Whether each labelled joint [F, V, J] is where the engine tells it; NaN where not labelled."""
    return _hits(rig, evaluation.run(engine, frames).joints_view, frames)


def _found(rig: Rig, fuser: Fuser, frames: LabelledFrames) -> Array:
    """Whether each labelled joint [F, V, J] is where the fused peak is; NaN where not labelled."""
    chunks = (frames.heatmaps[i : i + _CHUNK] for i in range(0, len(frames.frames), _CHUNK))
    return _hits(rig, np.concatenate([decode(fuser.fuse(chunk))[0] for chunk in chunks]), frames)


def _hits(rig: Rig, joints: Array, frames: LabelledFrames) -> Array:
    threshold = metrics.half_head_px(rig.skeleton, frames.joints_view)[..., None]
    labelled = np.isfinite(frames.joints_view).all(-1)
    return np.where(labelled, metrics.detected(joints, frames.joints_view, threshold), np.nan)


def _camera_row(rig: Rig, view: int, gain: Interval) -> dict[str, Any]:
    camera = rig.cameras[view].id
    return {
        "camera": camera,
        **_figures(gain),
        "reason": f"Camera {camera} falls back to its own heatmaps, which find {100 * gain.value:.1f} points more of "
        "its joints than what the others make of them. Is it well calibrated, and in step with the others?",
    }


def _pair_row(rig: Rig, pair: int, gain: Interval) -> dict[str, Any]:
    target, source = (rig.cameras[view].id for view in rig.pairs[pair])
    return {
        "target": target,
        "source": source,
        **_figures(gain),
        "reason": f"Camera {target} no longer listens to {source}, without which {100 * gain.value:.1f} points more of "
        "its joints are found.",
    }


def _figures(gain: Interval) -> dict[str, Any]:
    return {"jdr_gain": rounded(gain.value), "interval": [rounded(gain.low), rounded(gain.high)]}

"""Judging a checkpoint on the frames that were held out, beside all that could serve instead: the report."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import evaluation, gate
from models.checkpoint import Checkpoint
from models.duplicates import first_alike
from models.evaluation import Measures, rounded
from models.gate import Evidence, bounds
from models.intervals import Draws
from models.labelled import LabelledFrames
from models.learning import Progress
from models.rig import Rig
from models.runtime import Engine

Array = NDArray[np.float64]
Rivals = Mapping[str, tuple[Engine, Array]]
_LEAST_SHARED = 5  # frames that neither checkpoint learned from; with fewer, all are taken and the favour is told


@dataclass(frozen=True)
class Serving:
    """What a rig serves while a new checkpoint is judged.

    ``incumbent`` is the active checkpoint, None where the rig serves without fusion. ``used``: somebody has been served
    joints in space without one, so in the world of the extrinsics sent. ``allow_new_world`` lets that change.
    """

    incumbent: Checkpoint | None = None
    used: bool = False
    allow_new_world: bool = False


def judge(
    rig: Rig, draft: Checkpoint, held_out: LabelledFrames, serving: Serving, progress: Progress = lambda *_: None
) -> Checkpoint:
    """The checkpoint with what was measured on frames ``held_out``, and the verdict."""
    cameras = draft.rig(rig)
    truth = evaluation.labels_in_space(cameras, held_out)
    rivals = _rivals(rig, draft, serving.incumbent, truth)
    report: dict[str, Any] = {
        "jdr_threshold": evaluation.threshold_summary(rig, held_out),
        "held_out_frames": list(held_out.frames),
        "mpjpe_reference": "held-out labels in space, triangulated with the cameras of this checkpoint",
    }
    measured = {}
    for index, (name, (engine, known)) in enumerate(rivals.items()):
        poses = evaluation.run(engine, held_out)
        measured[name] = evaluation.measures(engine, poses, held_out, known)
        report[name] = evaluation.scores(engine, poses, held_out, known) | _intervals(measured[name])
        progress("evaluate", 0.85 + 0.14 * (index + 1) / len(rivals))
    report["fused"]["per_pair"] = _pair_rows(rig, cameras, held_out, draft.gains, measured)
    report["calibration"] = evaluation.calibration(rig, cameras, held_out, _world(draft))
    report["label_agreement"] = rounded(evaluation.label_agreement(held_out, truth))
    report["hidden_labels"] = int((held_out.visibility == 1).sum())
    report["new_world"] = _new_world(draft, serving)
    distinct = np.unique(first_alike(held_out.joints_view))  # a pose shown again is no more evidence
    compared = {name: distinct for name in gate.RIVALS if name in measured}
    if serving.incumbent is not None:
        compared["incumbent"] = _unseen(draft, serving.incumbent, held_out, distinct, report["incumbent"])
        report["incumbent"]["identical"] = draft.same_fusion(serving.incumbent)
    evidence = [
        Evidence.of(name, measured["fused"].subset(frames), measured[name].subset(frames))
        for name, frames in compared.items()
    ]
    report["evidence"] = [row.row() for row in evidence]
    report["promoted"], report["reason"] = gate.verdict(report, evidence, allow_new_world=serving.allow_new_world)
    return replace(draft, metrics=draft.metrics | report)


def _rivals(rig: Rig, draft: Checkpoint, incumbent: Checkpoint | None, truth: Array) -> Rivals:
    """All engines, each with the labels in space where it has the same world as the checkpoint."""
    nowhere = np.full_like(truth, np.nan)
    sent = truth if _world(draft) == "sent" else nowhere
    rivals = {
        "no_fusion": (Engine.unfused(rig), sent),
        "robust_triangulation": (Engine.triangulated(rig), sent),
        "epipolar": (Engine.epipolar(rig), sent),
        "fused": (Engine.load(rig, draft), truth),
    }
    if incumbent is not None:
        rivals["incumbent"] = (Engine.load(rig, incumbent), sent if _world(incumbent) == "sent" else nowhere)
    return rivals


def _world(checkpoint: Checkpoint) -> str:
    """Where the extrinsics come from, and with them the world of the joints in space."""
    return str(checkpoint.lineage.get("extrinsics", "sent"))


def _new_world(draft: Checkpoint, serving: Serving) -> bool:
    """Whether joints in space would move for those who are served now; labels make a new world each time."""
    if serving.incumbent is None:
        return serving.used and _world(draft) != "sent"
    return "labels" in {_world(draft), _world(serving.incumbent)}


def _unseen(
    draft: Checkpoint,
    incumbent: Checkpoint,
    held_out: LabelledFrames,
    distinct: NDArray[np.intp],
    told: dict[str, Any],
) -> NDArray[np.intp]:
    """The frames to compare with the incumbent on: those held out from both, where it knows this very capture."""
    same = bool(draft.capture_digest) and draft.capture_digest == incumbent.capture_digest
    unseen = set(incumbent.metrics.get("held_out_frames", ())) if same else set(held_out.frames)
    shared = distinct[[held_out.frames[frame] in unseen for frame in distinct]]
    favoured = len(shared) < min(_LEAST_SHARED, len(distinct))
    chosen = distinct if favoured else shared
    told |= {"method": incumbent.method, "seed": incumbent.seed, "same_capture": same}
    told |= {"frames_compared": len(chosen), "favoured": favoured}
    return chosen


def _intervals(measured: Measures) -> dict[str, Any]:
    """The 95% intervals of a system's scores."""
    draws = Draws.of(len(measured.jdr))
    scales = {"jdr": (4, 1.0), "jdr_hidden": (4, 1.0), "reprojection_px": (3, np.inf), "mpjpe_mm": (2, np.inf)}
    return {
        f"{name}_interval": bounds(draws.mean(getattr(measured, name)), digits, (0.0, most))
        for name, (digits, most) in scales.items()
    }


def _pair_rows(
    rig: Rig, cameras: Rig, frames: LabelledFrames, gains: NDArray[np.float32], measured: Mapping[str, Measures]
) -> list[dict[str, Any]]:
    sent, used = evaluation.epipolar_error_px(rig, frames), evaluation.epipolar_error_px(cameras, frames)
    hidden, seen = frames.visibility == 1, frames.visibility == 2
    before, after = measured["no_fusion"].jdr_hidden, measured["fused"].jdr_hidden
    rows = []
    for p, (target, source) in enumerate(rig.pairs):
        lost = hidden[:, target]
        found = float(seen[:, source][lost].mean()) if lost.any() else None
        helped = lost & seen[:, source]  # what this source can tell this target
        rows.append(
            {
                "target": rig.cameras[target].id,
                "source": rig.cameras[source].id,
                "gain": round(float(gains[p]), 4),
                "epipolar_error_px_sent": rounded(sent[p], 3),
                "epipolar_error_px": rounded(used[p], 3),
                "hidden_in_target_seen_by_source": None if found is None else round(found, 4),
                "hidden_seen_joints": int(helped.sum()),
                "hidden_seen_jdr_before": rounded(evaluation.mean(before[:, target][helped])),
                "hidden_seen_jdr": rounded(evaluation.mean(after[:, target][helped])),
            }
        )
    return rows

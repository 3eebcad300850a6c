"""A benchmark's results as a table, the paper's figures below them, and as a document that tells their provenance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from rich.table import Table

from models.backbone import Backbone
from models.checkpoint import CODE_VERSION
from models.datasets.protocol import Plan, Stage
from models.datasets.published import PUBLISHED, SOURCE
from models.datasets.scores import AVERAGE, GROUPS, Estimate, Outcome
from models.datasets.sequence import Dataset
from models.datasets.shots import MARGIN_M
from models.methods import METHODS

FORMAT = "rigfuse-benchmark-1"


@dataclass(frozen=True)
class Result:
    """A method's outcome after ``frames`` labelled ones (None: it learns from none), and the adaptation's time."""

    method: str
    frames: int | None
    outcome: Outcome
    seconds: float | None = None
    promoted: bool | None = None


def tables(dataset: str, results: Sequence[Result], plan: Plan) -> tuple[Table, Table]:
    """JDR in percent by joint, and MPJPE in millimetres, with 95% intervals over frames; below them the paper's."""
    paper = PUBLISHED[dataset]
    flat = Table("JDR in %", "frames", *GROUPS, AVERAGE)
    space = Table("MPJPE in mm", "frames", *plan.triangulations, "not found", "adapted in")
    for result in results:
        outcome, frames = result.outcome, _count(result.frames)
        jdr = outcome.jdr(plan.seed)
        average = _told(jdr[AVERAGE], interval=True)
        flat.add_row(result.method, frames, *(_told(jdr[name], interval=False) for name in GROUPS), average)
        missing = " / ".join(f"{outcome.missing(name):.1f}%" for name in plan.triangulations)
        errors = (_told(outcome.mpjpe(name, plan.seed), interval=True) for name in plan.triangulations)
        space.add_row(result.method, frames, *errors, missing, _seconds(result.seconds))
    flat.add_section()
    space.add_section()
    for row in paper:
        name, frames = f"paper: {row.method}", _count(row.frames)
        if row.jdr:
            flat.add_row(name, frames, *(_figure(row.jdr.get(group)) for group in (*GROUPS, AVERAGE)), style="dim")
        if row.mpjpe_mm is not None:
            blank = [""] * (len(plan.triangulations) - 1)  # the paper's are of a pictorial model, the last of ours
            space.add_row(name, frames, *blank, _figure(row.mpjpe_mm), style="dim")
    space.caption = f"paper: {SOURCE}"
    return flat, space


def remarks(dataset: Dataset, stage: Stage, plan: Plan) -> list[str]:
    """What a reader of the tables must know: the split, and whatever was left out."""
    skipped = [str(count) for count in plan.frames if count > len(stage.order)]
    tested = sum(len(index) for _, index, _ in stage.tests())
    lines = [f"{dataset.note}; {tested} test frames, cameras {', '.join(c.id for c in stage.rig.cameras)}"]
    lines += [f"left out: {reason}" for reason in dataset.left_out]
    if skipped and set(plan.methods) & METHODS.keys():
        lines.append(f"left out: {', '.join(skipped)} labelled frames; there are {len(stage.order)}")
    return lines


def document(
    dataset: Dataset, backbone: Backbone, stage: Stage, plan: Plan, results: Sequence[Result]
) -> dict[str, Any]:
    """Everything that was measured, and what is needed to measure it again."""
    outcome = results[0].outcome
    return {
        "format": FORMAT,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"rigfuse": CODE_VERSION} | {name: version(name) for name in ("numpy", "torch", "onnxruntime")},
        "dataset": _dataset(dataset, stage),
        "backbone": {"name": backbone.manifest.name, "joints": backbone.skeleton, "digest": backbone.digest},
        "plan": asdict(plan),
        "skipped_frames": [count for count in plan.frames if count > len(stage.order)],
        "joints": list(outcome.joints),
        "threshold": _threshold(stage),
        "intervals": "95%, percentile bootstrap of 1000 resamples over frames",
        "results": [_result(result, plan) for result in results],
        "paper": {"source": SOURCE, "rows": [asdict(row) for row in PUBLISHED[dataset.name]]},
    }


def _dataset(dataset: Dataset, stage: Stage) -> dict[str, Any]:
    used = {
        side: {pick.shot.sequence.name: len(pick.index) for pick in picks}
        for side, picks in (("train", stage.train), ("test", stage.test))
    }
    lacking = [0 if s is None else int((~s.whole).sum()) for s in (stage.train_heatmaps, stage.test_heatmaps)]
    return {
        "name": dataset.name, "split": dataset.note, "left_out": list(dataset.left_out), "frames": used,
        "frames_without_an_image": dict(zip(("train", "test"), lacking, strict=True)),
        "cameras": [camera.id for camera in stage.rig.cameras], "rig": stage.rig.digest, "volume_margin_m": MARGIN_M,
    }  # fmt: skip


def _threshold(stage: Stage) -> dict[str, Any]:
    values = np.concatenate([pick.shot.half_head[pick.index].ravel() for pick in stage.test])
    labels = np.concatenate([pick.shot.labels[pick.index].reshape(-1, 2) for pick in stage.test])
    labels = labels[np.isfinite(labels).all(1)]
    outside = ((labels < -0.5) | (labels > 63.5)).any(1).mean() if len(labels) else float("nan")
    head = stage.test[0].shot.sequence.rig.skeleton.head
    return {
        "rule": "half the labelled head" if head else "half of a tenth of the side of the labelled joints' box",
        "median_heatmap_px": round(float(np.nanmedian(values)), 3),
        "labels_outside_the_view_percent": round(100 * float(outside), 2),
    }


def _result(result: Result, plan: Plan) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "method": result.method,
        "labelled_frames": result.frames,
        "test_frames": len(outcome.hits),
        "jdr_percent": {name: estimate.document() for name, estimate in outcome.jdr(plan.seed).items()},
        "mpjpe_mm": {name: outcome.mpjpe(name, plan.seed).document() for name in plan.triangulations},
        "not_found_percent": {name: round(outcome.missing(name), 2) for name in plan.triangulations},
        "adapted_in_s": None if result.seconds is None else round(result.seconds, 2),
        "promoted": result.promoted,
    }


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} s"


def _count(frames: int | None) -> str:
    return "–" if frames is None else str(frames)


def _told(estimate: Estimate, *, interval: bool) -> str:
    if not np.isfinite(estimate.value):
        return ""
    return f"{estimate.value:.1f}" + (f" [{estimate.low:.1f}, {estimate.high:.1f}]" if interval else "")

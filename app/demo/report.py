"""The end of the demonstration: tables for the reader, ``summary.json`` for programs."""

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from app.demo.evaluate import HALF_HEAD_MM, Scores, score
from app.demo.fetch import REQUIREMENT, WHEEL_SHA256
from app.demo.job import ELSEWHERE, EPIPOLAR, FOLLOWED, FUSED, NO_FUSION, REPAIRED, Outcome
from app.demo.scene import Scene
from models.checkpoint import CODE_VERSION

NAMES = {
    NO_FUSION: "no fusion",
    REPAIRED: "no fusion, repaired cameras",
    EPIPOLAR: "epipolar fusion (no labels)",
    FUSED: "fused",
    FOLLOWED: "fused, at the person",
}
DEFINITIONS = {
    "jdr": f"share of joints nearer to the truth than half a head ({HALF_HEAD_MM / 10:.1f} cm at the joint's depth)",
    "jdr_hidden": "the same, of joints behind the second person (synthetic: of hidden joints)",
    "error2d_*_px": "distance of the 2D joints from the truth, raw image pixels",
    "reprojection_*_px": "distance of the 3D joints, projected by the cameras they were made with, from the 2D truth",
    "served_reprojection_*_px": "distance of 3D joints from the 2D joints they were made of, as the service says",
    "triangulated": "share of joints with a position in 3D; the others are null, never a guess",
    "within_half_head_3d": f"share of joints within {HALF_HEAD_MM / 10:.1f} cm of the truth in 3D, missing ones wrong",
    "mpjpe_mm": "mean 3D error of the triangulated joints, world coordinates as they are answered",
    "mpjpe_aligned_mm": "the same after the one rigid motion (no scale) that fits all frames to the truth best",
    "median_aligned_mm": "its median",
    "limb_length_sd_mm": "standard deviation of a limb's length over time, averaged over limbs; needs no truth",
}
REAL_NOTES = (
    "The truth are consensus labels made by the same network as the detector, not independent ground truth.",
    "Learned on frames 0–49, judged on frames 55–98; limb joints only, since the faces are blurred.",
    "The labels' 3D lives in the world of refined cameras, the answers' in that of those sent: compare as aligned.",
    "Fused: with the checkpoint, its θ and its repaired cameras. The second row shows what the repair alone gives.",
    "At the person: looked at again through windows that follow the person; all others through the rig's fixed views.",
    "One person, one rig, 1.7 seconds: a demonstration, not a benchmark.",
)
SYNTHETIC_NOTES = (
    "Simulated detector and cameras; the truth is exact. Learned on frames 0–49, judged on frames 55–98.",
    "Labels have a noise of 0.25 heatmap pixels.",
)


def scores_of(outcome: Outcome) -> dict[str, Scores]:
    """The scores of every way of serving a scene, in the order of the table."""
    elsewhere = (key for key in outcome.predictions if key.startswith(ELSEWHERE))
    order = [NO_FUSION, REPAIRED, EPIPOLAR, *elsewhere, FUSED, FOLLOWED]
    return {key: score(outcome.scene.truth, outcome.predictions[key]) for key in order if key in outcome.predictions}


def name_of(key: str, scenes: Sequence[Scene]) -> str:
    """A way of serving in words."""
    if key in NAMES:
        return NAMES[key]
    title = next(scene.title for scene in scenes if key == f"{ELSEWHERE}_{scene.name}")
    return f"fused, learned on the {title.lower()}"


def tables(outcome: Outcome, scores: Mapping[str, Scores], scenes: Sequence[Scene]) -> tuple[Table, Table]:
    """The figures in the image and in space."""
    truth = outcome.scene.truth
    image = Table(
        title=f"{outcome.scene.title}: in the image ({int(truth.scored.sum())} joints in views, "
        f"{int((truth.scored & truth.hidden).sum())} of them hidden)",
        title_justify="left", title_style="bold",
    )  # fmt: skip
    _columns(image, "JDR", "JDR hidden", "2D error px\nmedian / mean", "3D reprojected px\nmedian / mean")
    space = Table(
        title=f"{outcome.scene.title}: in space ({int(truth.scored3d.sum())} joints)",
        title_justify="left", title_style="bold",
    )  # fmt: skip
    _columns(space, "found", "within\n8.5 cm", "MPJPE mm\nas answered", "MPJPE mm\naligned", "median mm\naligned",
             "limb length\nSD mm")  # fmt: skip
    for key, s in scores.items():
        style = "bold" if key == FUSED else ""
        label = name_of(key, scenes)
        image.add_row(
            label, _share(s.jdr), _share(s.jdr_hidden), _pair(s.error2d_median_px, s.error2d_mean_px),
            _pair(s.reprojection_median_px, s.reprojection_mean_px), style=style,
        )  # fmt: skip
        space.add_row(
            label, _share(s.triangulated), _share(s.within_half_head_3d), _number(s.mpjpe_mm),
            _number(s.mpjpe_aligned_mm), _number(s.median_aligned_mm), _number(s.limb_length_sd_mm), style=style,
        )  # fmt: skip
    return image, space


def _columns(table: Table, *names: str) -> None:
    table.add_column("", min_width=27)
    for name in names:
        table.add_column(name, justify="right")


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}"


def _pair(first: float, second: float) -> str:
    return f"{_number(first)} / {_number(second)}"


def summary(
    outcomes: Sequence[Outcome],
    pictures: Mapping[str, Mapping[str, Path]],
    timings_s: Mapping[str, float],
    synthetic: bool,
) -> dict[str, Any]:
    """Everything that the demonstration found out, as plain JSON values."""
    return _plain(
        {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "input": "synthetic" if synthetic else {"package": REQUIREMENT, "sha256": WHEEL_SHA256},
            "notes": SYNTHETIC_NOTES if synthetic else REAL_NOTES,
            "definitions": DEFINITIONS,
            "versions": _versions(),
            "timings_s": timings_s,
            "scenes": {outcome.scene.name: _scene(outcome) for outcome in outcomes},
            "pictures": {scene: {k: p.name for k, p in paths.items()} for scene, paths in pictures.items()},
        }
    )


def _scene(outcome: Outcome) -> dict[str, Any]:
    truth, adaptation = outcome.scene.truth, outcome.adaptation
    return {
        "title": outcome.scene.title,
        "about": outcome.scene.about,
        "ids": {
            "rig": outcome.rig_id,
            "capture": outcome.capture.id,
            "adaptation": adaptation.id,
            "checkpoint": outcome.checkpoint_id,
        },
        "capture": outcome.capture.model_dump(mode="json"),
        "adaptation": {
            "method": adaptation.method,
            "seed": adaptation.seed,
            "seconds": _seconds(adaptation.started_at, adaptation.finished_at),
            "metrics": adaptation.metrics,
        },
        "test_frames": truth.frames,
        "joints_scored": truth.scored.sum(),
        "joints_hidden": (truth.scored & truth.hidden).sum(),
        "scores": {key: asdict(scores) for key, scores in scores_of(outcome).items()},
    }


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 2)


def _versions() -> dict[str, Any]:
    return {
        "rigfuse": CODE_VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "onnxruntime": _version_of("onnxruntime", "onnxruntime-gpu"),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
    }


def _version_of(*packages: str) -> str | None:
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _plain(value: Any) -> Any:
    """Numbers of NumPy and NaN, which JSON does not know, as plain values and null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def write_summary(content: Mapping[str, Any], path: Path) -> Path:
    """Write the summary."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path

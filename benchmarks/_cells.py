"""One cell of the benchmark: a system, fitted to K labelled frames of a rig, measured frame by frame on others."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._families import Studio
from models import evaluation, metrics
from models.adaptation import adapt
from models.checkpoint import Checkpoint
from models.labelled import LabelledFrames
from models.rig import Rig
from models.runtime import Engine

THRESHOLD_PX = 1.6
GROSS_MM = 100.0
PICTORIAL_EVERY = 3  # the pictorial model takes a quarter of a second a frame
Array = NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """A way of fusing: an adaptation method with its options, or what needs no labels."""

    title: str
    method: str
    options: Mapping[str, Any]
    labels: bool = True
    extrinsics: bool = True  # whether it needs those that are sent


SYSTEMS = {
    "none": System("No-Fusion", "none", {}, labels=False),
    "robust": System("robust triangulation, projected back", "robust", {}, labels=False),
    "epipolar-sum": System("epipolar sum, best gain", "epipolar", {"pooling": "sum"}),
    "epipolar-max": System("epipolar maximum, best gain", "epipolar", {"pooling": "max"}),
    "naive": System("NaiveFuse (l2)", "naivefuse", {}),
    "naive-none": System("NaiveFuse, not regularised", "naivefuse", {"regularisation": "none"}),
    "naive-l1": System("NaiveFuse (l1)", "naivefuse", {"regularisation": "l1"}),
    "naive-l21": System("NaiveFuse (L2,1)", "naivefuse", {"regularisation": "l21"}),
    "naive-meta": System("meta-learned NaiveFuse", "naivefuse_meta", {}),
    "affine": System("AffineFuse, lines searched", "affinefuse", {}),
    "paper": System("MetaFuse (paper)", "metafuse_paper", {"search_lines": False, "steps": 100}),
    "paper-search": System("MetaFuse (paper), lines searched", "metafuse_paper", {}),
    "ours": System("metafuse (ours)", "metafuse", {}),
    "ours-labels": System("metafuse, labels only", "metafuse", {"extrinsics": "labels"}, extrinsics=False),
}


def fitted(system: System, sent: Rig, frames: LabelledFrames) -> tuple[Engine, float, Checkpoint | None]:
    """The engine of a system fitted to labelled frames, how many seconds that took, and its checkpoint."""
    if system.method == "none":
        return Engine.unfused(sent), 0.0, None
    if system.method == "robust":
        return Engine.triangulated(sent), 0.0, None
    started = time.perf_counter()
    checkpoint = adapt(sent, frames, method=system.method, options=system.options)
    return Engine.load(sent, checkpoint), time.perf_counter() - started, checkpoint


def measure(engine: Engine, studio: Studio, *, aligned: bool = False, pictorial: bool = False) -> dict[str, Any]:
    """Per test frame: joints found and labelled, of all and of hidden ones, and errors in space.

    ``mm`` sums the errors of the ``placed`` joints in millimetres, ``gross`` counts those more than 100 mm off or
    missing; ``aligned`` first brings the whole take's joints to the truth by one similarity, for worlds of their own;
    ``pictorial`` adds the same of the pictorial model.
    """
    truth, test = studio.test.labelled(), studio.test
    poses = evaluation.run(engine, truth)
    found = metrics.detected(poses.joints_view, truth.joints_view, np.full(poses.joints_view.shape[:-1], THRESHOLD_PX))
    labelled = np.isfinite(truth.joints_view).all(-1)
    hidden = labelled & test.hidden
    told = {
        "found": _sums(found & labelled), "labelled": _sums(labelled),
        "found_hidden": _sums(found & hidden), "hidden": _sums(hidden),
        "joint_found": (found & labelled).sum((0, 1)).tolist(), "joint_labelled": labelled.sum((0, 1)).tolist(),
        **_in_space(poses.pose3d, test.joints_world, studio.rig.metres_per_unit, aligned=aligned),
    }  # fmt: skip
    if pictorial:
        some = np.arange(0, len(truth.frames), PICTORIAL_EVERY)
        posed = evaluation.run(engine, truth.subset(some), "pictorial").pose3d
        errors = _in_space(posed, test.joints_world[some], studio.rig.metres_per_unit, aligned=aligned)
        told |= {f"pictorial_{name}": values for name, values in errors.items()}
    return told


def _in_space(points: Array, truth: Array, metres: float, *, aligned: bool) -> dict[str, list[float]]:
    if aligned:
        points = _similar(points, truth)
    error = np.linalg.norm(points - truth, axis=-1) * metres * 1000
    placed = np.isfinite(error)
    return {
        "mm": np.where(placed, error, 0).sum(1).round(2).tolist(),
        "placed": _sums(placed),
        "gross": _sums(~(error < GROSS_MM)),
        "joints": _sums(np.ones_like(placed)),
    }


def _similar(points: Array, truth: Array) -> Array:
    """Points [F, J, 3] after the similarity that brings them nearest to the truth, gross errors left out (Umeyama)."""
    known = np.isfinite(points).all(-1)
    scale, R, shift = 1.0, np.eye(3), np.zeros(3)
    for _ in range(5):
        a, b = points[known], truth[known]
        mean_a, mean_b = a.mean(0), b.mean(0)
        U, S, Vt = np.linalg.svd((b - mean_b).T @ (a - mean_a) / len(a))
        sign = np.array([1, 1, np.linalg.det(U @ Vt)])
        R = U @ np.diag(sign) @ Vt
        scale = float((S * sign).sum() / np.square(a - mean_a).sum(1).mean())
        shift = mean_b - scale * R @ mean_a
        error = np.linalg.norm(scale * points @ R.T + shift - truth, axis=-1)
        known = np.isfinite(error) & (error < max(3 * float(np.nanmedian(error)), 1e-9))
    return scale * points @ R.T + shift


def _sums(mask: NDArray[np.bool_]) -> list[float]:
    return mask.reshape(len(mask), -1).sum(1).tolist()

"""Reports as adaptations write them, made up: as large as real ones, and with scores that hang together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.checkpoint import CODE_VERSION
from models.skeletons import skeleton

_SYSTEMS = ("no_fusion", "robust_triangulation", "epipolar", "fused")


def manifest(rng: np.random.Generator, cameras: Sequence[str], report: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's manifest with this report."""
    digests = {name: rng.bytes(32).hex() for name in ("rig", "capture", "omega_base")}
    lineage = {"frames": 50, "doubt": 0.75, "ridge_width": 0.8, "extrinsics": "sent", "device": "cuda"}
    return {
        "format": 1, "method": "metafuse", "seed": 0, "code_version": CODE_VERSION, "digests": digests,
        "repaired_cameras": False, "project_joints": True, "pooling": "sum", "lineage": lineage, "metrics": report,
        "cameras_alone": list(cameras[:0]),
    }  # fmt: skip


def report(
    rng: np.random.Generator, cameras: Sequence[str], *, before: float, gain: float, promoted: bool, detailed: bool
) -> dict[str, Any]:
    """What was measured: joints found rise from ``before`` by ``gain``, and the errors fall with them."""
    shares = (0.0, 0.6, 0.4, 1.0)
    told: dict[str, Any] = {
        name: _scores(rng, cameras, before + share * gain, detailed=detailed)
        for name, share in zip(_SYSTEMS, shares, strict=True)
    }
    if detailed:
        told["fused"]["per_pair"] = [
            {"target": a, "source": b, "gain": round(float(rng.uniform(0.2, 0.9)), 4),
             "epipolar_error_px_sent": round(float(rng.gamma(2, 0.2)), 3),
             "epipolar_error_px": round(float(rng.gamma(2, 0.15)), 3),
             "hidden_in_target_seen_by_source": round(float(rng.uniform(0.2, 0.95)), 4)}
            for a in cameras for b in cameras if a != b
        ]  # fmt: skip
        told["held_out_frames"] = [f"{frame:06d}" for frame in range(10, 25)]
    gains = [gain, 0.4 * gain, 0.6 * gain]
    told["evidence"] = [
        {"rival": rival, "frames": 15, "jdr_gain": round(points, 4), "interval": [round(points - 0.04, 4),
         round(points + 0.04, 4)], "chance_ahead": 0.97 if promoted else 0.55,
         "verdict": "better" if promoted else "unclear"}
        for rival, points in zip(("no_fusion", "epipolar", "robust_triangulation"), gains, strict=True)
    ]  # fmt: skip
    told |= {"promoted": promoted, "reason": _reason(told, promoted=promoted)}
    return told


def _scores(rng: np.random.Generator, cameras: Sequence[str], jdr: float, *, detailed: bool) -> dict[str, Any]:
    jdr = float(np.clip(jdr, 0.02, 0.995))
    error = 4.0 + 26.0 * (1.0 - jdr) + float(rng.normal(0, 0.6))
    told: dict[str, Any] = {
        "jdr": round(jdr, 4), "jdr_hidden": round(max(0.0, jdr - 0.25), 4), "reprojection_px": round(error, 3),
        "reprojection_median_px": round(0.8 * error, 3), "mpjpe_mm": round(18.0 + 160.0 * (1.0 - jdr), 2),
        "joints_compared": 250, "joints_not_triangulated": 5,
        "jdr_interval": [round(jdr - 0.03, 4), round(min(1.0, jdr + 0.03), 4)],
    }  # fmt: skip
    if detailed:
        near = rng.normal(jdr, 0.06, 17).clip(0, 1)
        told["per_joint"] = [
            {"joint": joint, "jdr": round(float(value), 4), "reprojection_px": round(error, 3)}
            for joint, value in zip(skeleton("coco17").joints, near, strict=True)
        ]
        told["per_camera"] = [{"camera": camera, "jdr": round(jdr, 4)} for camera in cameras]
    return told


def _reason(told: dict[str, Any], *, promoted: bool) -> str:
    fused, before = told["fused"]["jdr"], told["no_fusion"]["jdr"]
    if promoted:
        return f"Promoted: on held-out frames its JDR of {fused:.1%} beats No-Fusion with {before:.1%}."
    return (
        f"Not promoted: on held-out frames its JDR of {fused:.1%} is ahead of No-Fusion with {before:.1%}, but by no "
        "more than chance may explain. 15 held-out frames cannot tell: if the lead holds, about 60 would."
    )

"""What an adaptation measured, as the page shows it: what it is held against, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.told import Figure, figure, mapping, number, rows, text
from models.gate import RIVALS

WIDTH = 120
"""Of the bar that an interval is drawn in, zero in its middle."""
_SYSTEMS = {
    "no_fusion": "No-Fusion",
    "epipolar": "Epipolar fusion",
    "robust_triangulation": "Robust triangulation",
    "incumbent": "What served meanwhile",
    "fused": "This checkpoint",
}
_SCORES = (("jdr", 100), ("jdr_hidden", 100), ("reprojection_px", 1), ("mpjpe_mm", 1))
_TONES = {"better": "good", "worse": "bad"}


@dataclass(frozen=True)
class Gain:
    """By how much the checkpoint is better, positive where it is, and where that is drawn."""

    figure: Figure
    bar: tuple[float, float] | None
    dot: float | None

    @property
    def tone(self) -> str:
        """Whether the interval leaves zero out, and on which side."""
        low, high = self.figure.low, self.figure.high
        return "" if low is None or high is None else "good" if low > 0 else "bad" if high < 0 else ""


@dataclass(frozen=True)
class Rival:
    """A row of the evidence: gains in JDR, JDR of hidden joints, reprojection and MPJPE."""

    name: str
    frames: int | None
    gains: Sequence[Gain]
    chance: float | None
    verdict: str
    tone: str


@dataclass(frozen=True)
class System:
    """A row of the scores."""

    name: str
    is_ours: bool
    scores: Sequence[Figure]


@dataclass(frozen=True)
class Repair:
    """By how much a camera was turned and moved to fit the labels."""

    camera: str
    turned_degrees: float | None
    moved_mm: float | None


@dataclass(frozen=True)
class Calibration:
    """How well the labels fit the cameras, in image pixels, as sent and as used."""

    told: str
    sent_px: float | None
    used_px: float | None
    cameras: Sequence[Repair]


@dataclass(frozen=True)
class Measured:
    """All of it."""

    promoted: bool | None
    reason: str
    held_out_frames: int
    rivals: Sequence[Rival]
    systems: Sequence[System]
    fallback: Sequence[str]
    calibration: Calibration | None
    threshold: str
    label_agreement: float | None
    hidden_labels: float | None


def read(metrics: Mapping[str, Any] | None) -> Measured | None:
    """What the metrics of an adaptation tell; None where it measured nothing."""
    if not metrics:
        return None
    promoted, held_out = metrics.get("promoted"), metrics.get("held_out_frames")
    fallback, threshold = mapping(metrics.get("fallback")), mapping(metrics.get("jdr_threshold"))
    return Measured(
        promoted=promoted if isinstance(promoted, bool) else None,
        reason=text(metrics.get("reason")),
        held_out_frames=len(held_out) if isinstance(held_out, list) else 0,
        rivals=_rivals(rows(metrics.get("evidence"))),
        systems=[_system(name, words, metrics[name]) for name, words in _SYSTEMS.items() if mapping(metrics.get(name))],
        fallback=[text(row.get("reason")) for part in ("cameras", "pairs") for row in rows(fallback.get(part))],
        calibration=_calibration(mapping(metrics.get("calibration"))),
        threshold=text(threshold.get("rule")),
        label_agreement=number(metrics.get("label_agreement"), 100),
        hidden_labels=number(metrics.get("hidden_labels")),
    )


def _rivals(told: Sequence[Mapping[str, Any]]) -> list[Rival]:
    gains = [[_gain(row, name, times) for name, times in _SCORES] for row in told]
    reach = [max((row[i].reach for row in gains), default=0.0) or 1.0 for i in range(len(_SCORES))]
    return [
        Rival(
            name=RIVALS.get(text(row.get("rival")), text(row.get("rival"))),
            frames=int(frames) if (frames := number(row.get("frames"))) is not None else None,
            gains=[_drawn(one, reach[i]) for i, one in enumerate(found)],
            chance=number(row.get("chance_ahead"), 100),
            verdict=text(row.get("verdict")),
            tone=_TONES.get(text(row.get("verdict")), ""),
        )
        for row, found in zip(told, gains, strict=True)
    ]


def _gain(row: Mapping[str, Any], name: str, times: float) -> Figure:
    return figure(row, f"{name}_gain", "interval" if name == "jdr" else f"{name}_interval", times)


def _drawn(one: Figure, reach: float) -> Gain:
    def at(value: float) -> float:
        return round(WIDTH / 2 * (1 + 0.95 * value / reach), 1)

    known = one.low is not None and one.high is not None
    bar = (at(one.low), at(one.high)) if known and one.low is not None and one.high is not None else None
    return Gain(one, bar, None if one.value is None else at(one.value))


def _system(name: str, words: str, row: Mapping[str, Any]) -> System:
    scores = [figure(row, score, f"{score}_interval", times) for score, times in _SCORES]
    return System(
        words, name == "fused", [_possible(score, times) for score, (_, times) in zip(scores, _SCORES, strict=True)]
    )


def _possible(score: Figure, most: float) -> Figure:
    """A score whose interval ends where scores do: a share between nothing and all, an error at zero."""
    if score.low is None or score.high is None:
        return score
    return replace(score, low=max(0.0, score.low), high=min(score.high, most) if most > 1 else score.high)


def _calibration(row: Mapping[str, Any]) -> Calibration | None:
    if not row:
        return None
    repairs = [
        Repair(text(camera.get("camera")), number(camera.get("turned_degrees")), number(camera.get("moved_mm")))
        for camera in rows(row.get("cameras"))
    ]
    moved = any(repair.turned_degrees or repair.moved_mm for repair in repairs)
    if row.get("extrinsics") == "labels":
        told = "The cameras' positions come from the labels alone."
    elif moved:
        told = "The labels repaired the cameras; what is moved far deserves a look at its mount."
    else:
        told = "The cameras are used as sent: repairing them by the labels was not better, or not asked for."
    sent, used = number(row.get("label_reprojection_px_sent")), number(row.get("label_reprojection_px"))
    return Calibration(told, sent, used, repairs if moved else ())

"""What a checkpoint's metrics tell, read with care: a figure that is missing or odd is None; no page fails by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.told import mapping, number, rows

TURNED, BEHIND = 2.0, 5.0  # degrees, and points of JDR, from which on a camera or joint is told of


@dataclass(frozen=True)
class Change:
    """A figure without and with fusion; JDR in percent."""

    before: float | None = None
    after: float | None = None

    @property
    def delta(self) -> float | None:
        """By how much it rose."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class Quality:
    """A checkpoint's scores on frames held out."""

    jdr: Change
    jdr_interval: tuple[float, float] | None
    jdr_hidden: Change
    reprojection_px: Change
    mpjpe_mm: Change
    held_out_frames: int


@dataclass(frozen=True)
class CameraFigures:
    """One camera: what is found in it, how far it was turned to fit the labels, why it is left to its own heatmaps."""

    camera: str
    jdr: Change
    turned_degrees: float | None
    moved_mm: float | None
    fallback: str = ""


@dataclass(frozen=True)
class JointFigures:
    """One joint over all cameras."""

    joint: str
    jdr: Change
    reprojection_px: Change


@dataclass(frozen=True)
class PairFigures:
    """An ordered pair: what ``target`` is told by ``source``.

    ``found`` is the share, in percent, that is found of the joints hidden in the target and seen by the source.
    """

    target: str
    source: str
    gain: float | None
    found: Change
    epipolar_px: Change
    dropped: str = ""


@dataclass(frozen=True)
class Rival:
    """How a checkpoint stands against what could serve instead."""

    name: str
    jdr_gain: float | None
    interval: tuple[float, float] | None
    verdict: str


@dataclass(frozen=True)
class Figures:
    """All that is read from one manifest."""

    quality: Quality
    cameras: Mapping[str, CameraFigures]
    joints: tuple[JointFigures, ...]
    pairs: Mapping[tuple[str, str], PairFigures]
    rivals: tuple[Rival, ...]


def read(manifest: Mapping[str, Any]) -> Figures:
    """The figures of a checkpoint's manifest, whichever version of the service wrote it."""
    metrics = mapping(manifest.get("metrics"))
    fused, plain = mapping(metrics.get("fused")), mapping(metrics.get("no_fusion"))
    return Figures(
        quality=_quality(metrics, plain, fused),
        cameras=_cameras(metrics, plain, fused),
        joints=_joints(plain, fused),
        pairs=_pairs(metrics, fused),
        rivals=tuple(map(_rival, rows(metrics.get("evidence")))),
    )


def _quality(metrics: Mapping[str, Any], plain: Mapping[str, Any], fused: Mapping[str, Any]) -> Quality:
    held_out = metrics.get("held_out_frames")
    return Quality(
        jdr=_change(plain, fused, "jdr", 100),
        jdr_interval=_interval(fused.get("jdr_interval")),
        jdr_hidden=_change(plain, fused, "jdr_hidden", 100),
        reprojection_px=_change(plain, fused, "reprojection_px"),
        mpjpe_mm=_change(plain, fused, "mpjpe_mm"),
        held_out_frames=len(held_out) if isinstance(held_out, list) else 0,
    )


def _cameras(
    metrics: Mapping[str, Any], plain: Mapping[str, Any], fused: Mapping[str, Any]
) -> dict[str, CameraFigures]:
    before, after = _by_name(plain.get("per_camera"), "camera"), _by_name(fused.get("per_camera"), "camera")
    repairs = _by_name(mapping(metrics.get("calibration")).get("cameras"), "camera")
    alone = _by_name(mapping(metrics.get("fallback")).get("cameras"), "camera")
    return {
        camera: CameraFigures(
            camera,
            _change(before.get(camera, {}), after.get(camera, {}), "jdr", 100),
            number(repairs.get(camera, {}).get("turned_degrees")),
            number(repairs.get(camera, {}).get("moved_mm")),
            str(alone.get(camera, {}).get("reason", "")),
        )
        for camera in dict.fromkeys([*before, *after, *repairs])
    }


def _joints(plain: Mapping[str, Any], fused: Mapping[str, Any]) -> tuple[JointFigures, ...]:
    before, after = _by_name(plain.get("per_joint"), "joint"), _by_name(fused.get("per_joint"), "joint")
    return tuple(
        JointFigures(
            joint,
            _change(before.get(joint, {}), after.get(joint, {}), "jdr", 100),
            _change(before.get(joint, {}), after.get(joint, {}), "reprojection_px"),
        )
        for joint in dict.fromkeys([*before, *after])
    )


def _pairs(metrics: Mapping[str, Any], fused: Mapping[str, Any]) -> dict[tuple[str, str], PairFigures]:
    dropped = {
        (str(row.get("target")), str(row.get("source"))): str(row.get("reason", ""))
        for row in rows(mapping(metrics.get("fallback")).get("pairs"))
    }
    pairs = {}
    for row in rows(fused.get("per_pair")):
        target, source = str(row.get("target", "")), str(row.get("source", ""))
        pairs[target, source] = PairFigures(
            target,
            source,
            number(row.get("gain")),
            Change(number(row.get("hidden_seen_jdr_before"), 100), number(row.get("hidden_seen_jdr"), 100)),
            Change(number(row.get("epipolar_error_px_sent")), number(row.get("epipolar_error_px"))),
            dropped.get((target, source), ""),
        )
    return pairs


def _rival(row: Mapping[str, Any]) -> Rival:
    return Rival(
        str(row.get("rival", "")).replace("_", " "),
        number(row.get("jdr_gain"), 100),
        _interval(row.get("interval")),
        str(row.get("verdict", "")),
    )


def _change(plain: Mapping[str, Any], fused: Mapping[str, Any], name: str, times: float = 1) -> Change:
    return Change(number(plain.get(name), times), number(fused.get(name), times))


def _interval(value: object) -> tuple[float, float] | None:
    """Both ends in percent."""
    ends = [number(end, 100) for end in value] if isinstance(value, list | tuple) else []
    return (ends[0], ends[1]) if len(ends) == 2 and ends[0] is not None and ends[1] is not None else None


def _by_name(value: object, name: str) -> dict[str, Mapping[str, Any]]:
    return {str(row[name]): row for row in rows(value) if name in row}

"""What earns promotion: evidence, on frames held out, against all that a studio could do instead.

The higher JDR wins, at the same JDR the lower reprojection error unless joints in space are shown to be further off.
What finds less than half of the labelled joints never wins. A checkpoint serves only where it is shown to win
against what would serve without it, and wins against every other rival with a chance of four in five. The reason is
told in words; where the frames are too few to tell, so is what more labels would help. docs/science.md has what other
rules were measured to get wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.evaluation import Measures, rounded
from models.intervals import Draws, Interval

_ANYWHERE = (-np.inf, np.inf)
ALIKE = 0.01  # of JDR: less is nothing that a person would notice
_MAX_LABEL_ERROR_PX = 1.5  # of the median label, in heatmap pixels: several times what an annotator is off by
_MAX_TURN_DEGREES = 10.0
_NOTHING = 1e-6  # rounding
_LIKELY = 0.8
_MIN_AGREEMENT = 0.5
_MIN_JDR = 0.5  # with less, most of what would be served is wrong by the labels, as where these are another camera's
_MOST_FRAMES = 1000  # more labels than this are not asked for
RIVALS = {
    "no_fusion": "No-Fusion",
    "epipolar": "epipolar fusion",
    "robust_triangulation": "robust triangulation",
    "incumbent": "the checkpoint that serves now",
}
_SERVING = frozenset({"no_fusion", "incumbent"})  # what may serve where this does not


@dataclass(frozen=True)
class Evidence:
    """By how much a checkpoint is better than a rival on the same frames; every gain is positive where it is."""

    rival: str
    frames: int
    jdr: Interval
    jdr_hidden: Interval
    reprojection_px: Interval
    mpjpe_mm: Interval

    @classmethod
    def of(cls, rival: str, ours: Measures, theirs: Measures) -> "Evidence":
        """The paired comparison of two systems' measures of the same frames."""
        draws = Draws.of(len(ours.jdr))
        return cls(
            rival,
            len(ours.jdr),
            draws.mean(ours.jdr - theirs.jdr),
            draws.mean(ours.jdr_hidden - theirs.jdr_hidden),
            draws.mean(theirs.reprojection_px - ours.reprojection_px),
            draws.mean(theirs.mpjpe_mm - ours.mpjpe_mm),
        )

    @property
    def ranks_above(self) -> bool:
        """Whether the checkpoint finds more joints in the mean, or as many and its joints in space fit better."""
        gain = self.jdr.value if np.isfinite(self.jdr.value) else 0.0
        fits = self.reprojection_px.value > _NOTHING and not self.further_off
        return gain > _NOTHING or (gain >= -_NOTHING and fits)

    @property
    def further_off(self) -> bool:
        """Whether it is shown that joints in space are further from the labels than the rival's."""
        return self.mpjpe_mm.high < -_NOTHING

    @property
    def earns(self) -> bool:
        """Whether the checkpoint may serve as far as this rival goes; more is asked where it takes a rival's place."""
        if not self.ranks_above:
            return False
        lead = self.jdr if abs(self.jdr.value) > _NOTHING else self.reprojection_px
        return self.verdict == "better" or (self.rival not in _SERVING and lead.chance >= _LIKELY)

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where that is shown, ``alike`` where it is shown that JDR hardly differs.

        Else ``unclear``. Where JDR decides nothing, the reprojection error does, but not against what MPJPE shows.
        """
        for gain, denied in ((self.jdr, False), (self.reprojection_px, self.further_off)):
            if gain.low > _NOTHING and self.jdr.value > -_NOTHING and not denied:
                return "better"
            if gain.high < -_NOTHING and self.jdr.value < _NOTHING:
                return "worse"
        return "alike" if self.jdr.low > -ALIKE and self.jdr.high < ALIKE else "unclear"

    def row(self) -> dict[str, Any]:
        """For ``metrics``."""
        told: dict[str, Any] = {"rival": self.rival, "frames": self.frames}
        for name, gain, digits in (
            ("jdr", self.jdr, 4), ("jdr_hidden", self.jdr_hidden, 4), ("reprojection_px", self.reprojection_px, 3),
            ("mpjpe_mm", self.mpjpe_mm, 2),
        ):  # fmt: skip
            told[f"{name}_gain"] = rounded(gain.value, digits)
            within = (-1.0, 1.0) if name.startswith("jdr") else _ANYWHERE
            told["interval" if name == "jdr" else f"{name}_interval"] = bounds(gain, digits, within)
        return {**told, "chance_ahead": rounded(self.jdr.chance, 3), "verdict": self.verdict}


def bounds(interval: Interval, digits: int = 4, within: tuple[float, float] = _ANYWHERE) -> list[float] | None:
    """An interval's ends for JSON, ``within`` what can be at all; None where it is unknown."""
    ends = [rounded(interval.low, digits), rounded(interval.high, digits)]
    return None if None in ends else [min(max(end, within[0]), within[1]) for end in ends if end is not None]


def verdict(
    report: Mapping[str, Any], evidence: Sequence[Evidence], *, allow_new_world: bool = False
) -> tuple[bool, str]:
    """Whether the checkpoint that ``report`` tells of is to serve, and the reason in words.

    Labels that contradict each other are no yardstick: by them one engine is better than another only by chance. And
    where even repaired cameras do not fit the labels, or had to be turned far, the calibration is wrong in a way that
    no repair should hide. ``report["world"]`` says whether joints in space would move for those who are served now.
    """
    against = _doubt_about_cameras(report["calibration"]) or _doubt_about_labels(report.get("label_agreement"))
    against = against or _hardly_any(report, evidence)
    if against is None and report.get("incumbent", {}).get("identical"):
        against = "it fuses exactly as the checkpoint that serves now."
    against = against or next(filter(None, (_defeat(report, row) for row in evidence)), None)
    if against is None and report.get("new_world") and not allow_new_world:
        against = (
            "it would serve joints in space in another world than those that serve now, so that everything would move "
            "for whoever uses them. On held-out frames it is the better one: activate it by hand "
            "(POST /v1/checkpoints/{id}/activate), or adapt again with the option allow_new_world."
        )
    if against is not None:
        return False, f"Not promoted: {against}"
    return True, f"Promoted: {_victory(report, evidence)}{_elsewhere(report['calibration'])}"


def _defeat(report: Mapping[str, Any], row: Evidence) -> str | None:
    """Why a rival keeps the checkpoint from serving, and what more labels would help; None where it does not."""
    rival = RIVALS[row.rival]
    fused, other = _told(report["fused"]), f"{_told(report[row.rival])} ({_lead(row)})"
    if not row.ranks_above:
        told = f"on held-out frames its {fused} does not beat {rival} with {other}."
        return told + (_doubt(row) if row.verdict == "unclear" else "") + _favour(report, row)
    if not row.earns:
        told = (
            f"on held-out frames its {fused} is ahead of {rival} with {other}, but by no more than chance may explain."
        )
        return told + _doubt(row) + _favour(report, row)
    return None


def _doubt(row: Evidence) -> str:
    """That the frames are too few to tell, and how many would."""
    gain, reach = row.jdr.value, row.jdr.half
    told = f" {row.frames} held-out frames cannot tell"
    if np.isfinite(reach):
        told += f" (JDR {_points(gain)} points, 95% interval {_points(row.jdr.low)} to {_points(row.jdr.high)})"
    wanted = row.frames * (reach / gain) ** 2 if np.isfinite(reach) and gain > 0 else np.inf
    if row.frames < wanted <= _MOST_FRAMES:
        return told + f": if the lead holds, about {int(np.ceil(wanted))} would."
    return told + ": label more frames, of other poses and places, above all where joints are hidden (v = 1)."


def _favour(report: Mapping[str, Any], row: Evidence) -> str:
    if row.rival == "incumbent" and report["incumbent"].get("favoured"):
        return (
            " That checkpoint was learned from some of these frames, which favours it; a new capture is a fair judge."
        )
    return ""


def _victory(report: Mapping[str, Any], evidence: Sequence[Evidence]) -> str:
    beaten = [f"{RIVALS[row.rival]} with {_told(report[row.rival])} ({_lead(row)})" for row in evidence]
    close = [RIVALS[row.rival] for row in evidence if row.verdict != "better"]
    told = f"on held-out frames its {_told(report['fused'])} beats {_listed(beaten)}."
    return told + (f" Its lead over {_listed(close)} may be chance." if close else "")


def _elsewhere(calibration: Mapping[str, Any]) -> str:
    """What changes for whoever uses the joints in space, once such a checkpoint serves."""
    if calibration["extrinsics"] != "labels":
        return ""
    return " Its joints in space are in the world that the labels define, not in that of the extrinsics sent."


def _doubt_about_cameras(calibration: Mapping[str, Any]) -> str | None:
    error = calibration["label_reprojection_median_heatmap_px"]
    if error is not None and error > _MAX_LABEL_ERROR_PX:
        which = "the cameras, not even repaired ones" if calibration["repaired"] else "the cameras"
        return (
            f"the labels do not fit {which}: their median reprojection error is {error:.1f} heatmap pixels. "
            "Are calibrations exchanged between cameras, or labels between joints?"
        )
    for camera in calibration["cameras"]:
        if camera["turned_degrees"] > _MAX_TURN_DEGREES:
            return (
                f"to fit the labels, camera {camera['camera']} had to be turned by {camera['turned_degrees']:.0f}°. "
                "Calibrate it again, or check that it is the camera it claims to be."
            )
    return None


def _doubt_about_labels(agreement: float | None) -> str | None:
    if agreement is not None and agreement >= _MIN_AGREEMENT:
        return None
    share = "none" if agreement is None else f"only {agreement:.0%}"
    return (
        f"{share} of the joints labelled in two cameras or more meet in space on held-out frames, so that nothing can "
        "be judged by these labels."
    )


def _hardly_any(report: Mapping[str, Any], evidence: Sequence[Evidence]) -> str | None:
    """Why scores near nothing rank nobody: who finds a joint here and there finds it by chance."""
    fused = report["fused"]["jdr"]
    if fused is None or fused >= _MIN_JDR:
        return None
    found = {RIVALS[row.rival]: report[row.rival]["jdr"] or 0.0 for row in evidence}
    best = max(found, key=lambda name: found[name])
    told = f"on held-out frames it finds only {fused:.1%} of the labelled joints, {best} {found[best]:.1%}."
    if found[best] >= _MIN_JDR:
        return told
    return (
        f"{told} Less than half is too little to judge by: the labels do not fit what the detector sees. Are "
        "calibrations, labels or heatmaps exchanged between cameras, or frames shifted?"
    )


def _told(score: Mapping[str, Any]) -> str:
    return f"JDR of {'unknown' if score['jdr'] is None else format(score['jdr'], '.1%')}"


def _lead(row: Evidence) -> str:
    """What decided: the lead in JDR; where it may be nothing, by how much joints that both place fit better."""
    jdr, error, space = row.jdr.value, row.reprojection_px.value, row.mpjpe_mm.value
    told = f"{_points(jdr)} points" if np.isfinite(jdr) else "lead unknown"
    if row.jdr.low > _NOTHING or row.jdr.high < -_NOTHING:
        return told
    if np.isfinite(error):
        told += f", reprojection {abs(error):.1f} px {'lower' if error > 0 else 'higher'}"
    return told + (f", but {-space:.0f} mm further off in space" if row.further_off else "")


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

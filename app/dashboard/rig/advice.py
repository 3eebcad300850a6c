"""Where more labels would help most: ranked sentences out of what labels cover and what was measured with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.dashboard.rig.figures import BEHIND, TURNED, Figures
from app.dashboard.rig.labels import LabelCounts

SHOWN = 6
_ALIKE = 3  # of one kind
_RECOMMENDED_FRAMES, _FEW_FRAMES = 50, 25
_FEW_VISIBLE = 12  # frames in which a camera sees a joint: with fewer, what it looks like there is hardly told
_OFTEN_HIDDEN = 0.25
_FEW_OF_OTHERS = 0.5
_MOSTLY_DISTINCT = 0.75
_SMALL_PART = 0.25  # of a view
_ALL_HIDDEN = 5.0  # percent of a camera's labels


@dataclass(frozen=True)
class Advice:
    """One thing to do: ``what`` is to be labelled, ``why`` in figures; ``weight`` ranks it, from 0 to 1."""

    what: str
    why: str
    weight: float
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Covered:
    """What a capture says of itself: frames, distinct poses, and the share of each camera's view that labels cover."""

    frames: int
    distinct_poses: int | None
    view_covered: dict[str, float]


def advise(
    cameras: Sequence[str],
    joints: Sequence[str],
    covered: Covered | None,
    counts: LabelCounts | None,
    figures: Figures | None,
) -> list[Advice]:
    """What would help most comes first; nothing where there are no labels yet or all is well."""
    found: list[Advice] = []
    if covered is not None:
        found += [*_frames(covered, figures), *_views(covered)]
    if counts is not None:
        found += sorted(_hidden_joints(cameras, joints, counts, figures), key=_rank)[:_ALIKE]
        found += _seldom_labelled(cameras, counts)
        found += _seen_by_none(cameras, counts)
    if figures is not None:
        found += sorted(_joints_behind(figures), key=_rank)[:_ALIKE]
        found += [*_cameras_behind(figures), *_turned(figures)]
    return sorted(found, key=_rank)[:SHOWN]


def _rank(advice: Advice) -> float:
    return -advice.weight


def _frames(covered: Covered, figures: Figures | None) -> Iterator[Advice]:
    frames, distinct = covered.frames, covered.distinct_poses
    if distinct is not None and distinct < _MOSTLY_DISTINCT * frames:
        yield Advice(
            "Label frames farther apart in time",
            f"the {frames} labelled frames show only {distinct} distinct poses, and count as so many",
            0.9,
        )
    elif frames < _RECOMMENDED_FRAMES:
        yield Advice(
            f"Label {_RECOMMENDED_FRAMES - frames} frames more, of other poses and places",
            f"{frames} are labelled, about {_RECOMMENDED_FRAMES} are recommended",
            1.0 - 0.9 * frames / _RECOMMENDED_FRAMES if frames >= _FEW_FRAMES else 0.98,
        )
    unclear = [rival for rival in figures.rivals if rival.verdict == "unclear"] if figures else []
    if figures and unclear:
        rival = unclear[0]
        reach = "" if rival.interval is None else f" ({rival.interval[0]:+.1f} to {rival.interval[1]:+.1f} points)"
        yield Advice(
            "Label more frames, so that there are more to judge by",
            f"{figures.quality.held_out_frames} held-out frames cannot tell this checkpoint from {rival.name}{reach}",
            0.7,
        )


def _views(covered: Covered) -> Iterator[Advice]:
    for camera, share in covered.view_covered.items():
        if share < _SMALL_PART:
            yield Advice(
                f"Label people in other parts of {camera}'s view",
                f"labels lie in only {share:.0%} of it; elsewhere nothing was learned or judged",
                0.4 + (_SMALL_PART - share),
                (camera,),
            )


def _hidden_joints(
    cameras: Sequence[str], joints: Sequence[str], counts: LabelCounts, figures: Figures | None
) -> Iterator[Advice]:
    """Joints that a camera hardly ever sees; those that are found worst weigh most."""
    missed = (
        {row.joint: 1 - row.jdr.after / 100 for row in figures.joints if row.jdr.after is not None} if figures else {}
    )
    labelled = counts.visible + counts.hidden
    share = np.divide(counts.hidden, labelled, out=np.zeros(labelled.shape), where=labelled > 0)
    for view, joint in np.argwhere((share >= _OFTEN_HIDDEN) & (counts.visible < _FEW_VISIBLE)).tolist():
        camera, name, seen = cameras[view], _words(joints[joint]), int(counts.visible[view, joint])
        lack = 1 - seen / _FEW_VISIBLE
        yield Advice(
            f"Label frames where {camera} sees the {name}",
            f"it is hidden there in {share[view, joint]:.0%} of its labels, and {_shown(seen)}",
            min(0.95, 0.35 * lack + 0.3 * float(share[view, joint]) + missed.get(joints[joint], 0.1)),
            (camera,),
        )


def _seldom_labelled(cameras: Sequence[str], counts: LabelCounts) -> Iterator[Advice]:
    labelled = (counts.visible + counts.hidden).sum(1)
    usual = float(np.median(labelled))
    for view, camera in enumerate(cameras):
        if labelled[view] == 0:
            yield Advice(
                f"Label {camera}", "it has no labels: its pose cannot be checked nor its fusion judged", 1.0, (camera,)
            )
        elif labelled[view] < _FEW_OF_OTHERS * usual:
            why = f"it has {labelled[view]} labelled joints, the others about {usual:.0f}"
            yield Advice(f"Label more in {camera}", why, 0.8 - 0.5 * labelled[view] / usual, (camera,))


def _seen_by_none(cameras: Sequence[str], counts: LabelCounts) -> Iterator[Advice]:
    labelled = (counts.visible + counts.hidden).sum(1)
    for view, camera in enumerate(cameras):
        share = 100 * counts.unseen[view] / labelled[view] if labelled[view] else 0.0
        if share >= _ALL_HIDDEN:
            yield Advice(
                f"Another place for a camera would help {camera} more than labels",
                f"{share:.0f}% of the joints labelled there are hidden and seen by no other camera, "
                "so that nobody can tell where they are",
                0.3 + share / 100,
                (camera,),
            )


def _joints_behind(figures: Figures) -> Iterator[Advice]:
    overall = figures.quality.jdr.after
    for row in figures.joints:
        after = row.jdr.after
        if overall is not None and after is not None and overall - after >= BEHIND:
            yield Advice(
                f"Label more frames of the {_words(row.joint)} in motion",
                f"{after:.0f}% of its held-out labels are found, of all joints {overall:.0f}%",
                min(0.9, 0.3 + (overall - after) / 50),
            )


def _cameras_behind(figures: Figures) -> Iterator[Advice]:
    overall = figures.quality.jdr.after
    for row in figures.cameras.values():
        after = row.jdr.after
        if row.fallback:
            why = "it falls back to its own heatmaps: what the others make of them was worse"
            yield Advice(f"Check the calibration and timing of {row.camera}", why, 0.97, (row.camera,))
        elif overall is not None and after is not None and overall - after >= BEHIND:
            why = f"{after:.0f}% of its held-out labels are found, over all cameras {overall:.0f}%"
            yield Advice(
                f"Label more people near and far in {row.camera}",
                why,
                min(0.9, 0.3 + (overall - after) / 50),
                (row.camera,),
            )


def _turned(figures: Figures) -> Iterator[Advice]:
    for row in figures.cameras.values():
        if row.turned_degrees is not None and row.turned_degrees >= TURNED:
            yield Advice(
                f"Calibrate {row.camera} again",
                f"to fit the labels it had to be turned by {row.turned_degrees:.1f}°",
                min(0.95, 0.4 + row.turned_degrees / 20),
                (row.camera,),
            )


def _words(joint: str) -> str:
    return joint.replace("_", " ")


def _shown(frames: int) -> str:
    return "no frame shows it" if frames == 0 else f"only {frames} frame{' shows' if frames == 1 else 's show'} it"

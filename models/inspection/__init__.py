"""Looking at a calibration before it is used: what is wrong with it, in words, and what would mend it.

Other than a Rig, a document may be wrong in any way. What can be read of it is placed in space all the same, so that a
person sees what is wrong. A finding that explains others comes alone: where the poses are written in another
convention, nothing is said of cameras that look away.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.errors import InvalidInput
from models.inspection import conventions, lenses, rotations, scale, together, upright
from models.inspection.findings import Change, Edit, Finding, Severity, error
from models.inspection.reading import Draft, read
from models.inspection.space import Layout, Placed, lay_out
from models.plausibility import check_plausible
from models.rig import Rig

__all__ = ["Change", "Edit", "Finding", "Inspection", "Placed", "Severity", "inspect"]

_MOST_PLACED = 48  # a rig has 32 at most; time and memory grow with the fourth power
_EXPLAINS = {"pose_convention", "units"}  # why the rig is refused, whatever the words of the refusal
_ORDER = list(Severity)


@dataclass(frozen=True)
class Inspection:
    """The findings, the gravest first, and what could be placed in space."""

    findings: tuple[Finding, ...]
    layout: Layout

    @property
    def is_refused(self) -> bool:
        """Whether something must be mended before the rig can be used."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def inspect(document: Mapping[str, Any] | Rig) -> Inspection:
    """Inspect a rig, or a document of API.md's form that may be wrong in any way; never raises for what is in it."""
    written = document.to_dict() if isinstance(document, Rig) else document
    with np.errstate(all="ignore"):  # absurd numbers are judged by their result
        draft, found = read(written)
        if len(draft.stations) > _MOST_PLACED:
            draft = Draft(draft.stations[:_MOST_PLACED], draft.units, draft.up, draft.volume)
        layout = lay_out(draft)
        for station in draft.stations:
            found += lenses.check_lens(station)
        found += _check_space(draft, layout)
        found += _refusal(written, found)
    return Inspection(tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity))), layout)


def _check_space(draft: Draft, layout: Layout) -> Iterator[Finding]:
    """From what explains most to what is explained by it."""
    wrong = list(rotations.check_rotations(draft, layout.half_angles))
    yield from wrong
    if any(finding.code == "mirrored" for finding in wrong) or len(layout.placed) < 2:
        return
    same = [finding for finding in together.check_apart(draft, layout) if finding.code == "same_pose"]
    if not same:
        R = np.stack([camera.axes for camera in layout.placed])
        t = np.stack([-camera.axes @ camera.centre for camera in layout.placed])
        if convention := list(conventions.check_conventions(layout.indices, R, t, layout.half_angles, draft.volume)):
            yield from convention
            return
    units = list(scale.check_scale(draft, layout))
    yield from units
    yield from upright.check_up(draft, layout)
    if not units:
        yield from together.check_apart(draft, layout)
        yield from together.check_overlap(draft, layout)


def _refusal(document: Mapping[str, Any], found: list[Finding]) -> Iterator[Finding]:
    """Why the rig would be refused, unless that is found already."""
    if any(finding.severity is Severity.ERROR for finding in found):
        return
    try:
        rig = Rig.from_dict({"joints": "coco17"} | dict(document))
        check_plausible(rig)
        for index, view in enumerate(rig.views):
            if not np.isfinite(view.K).all():
                yield error("invalid_rig", "This camera's view cannot be computed.", at=f"cameras[{index}].K",
                            cameras=[index])  # fmt: skip
    except InvalidInput as refusal:
        known = [index for index, finding in enumerate(found) if finding.code in _EXPLAINS or finding.at == refusal.at]
        for index in known:
            found[index] = replace(found[index], severity=Severity.ERROR)
        if not known:
            yield error(refusal.code, refusal.message, at=refusal.at, cameras=_cameras_of(refusal.at))


def _cameras_of(at: str | None) -> list[int]:
    digits = (at or "").removeprefix("cameras[").partition("]")[0]
    return [int(digits)] if (at or "").startswith("cameras[") and digits.isdigit() else []

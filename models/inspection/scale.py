"""Whether the unit is right: rooms are half a metre to sixty across, and people must fit into what is seen."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.inspection.findings import Change, Edit, Finding, hint, replaced, warning
from models.inspection.reading import Draft
from models.inspection.space import Layout
from models.rig import METRES

Array = NDArray[np.float64]
_APART_M = (0.5, 60.0)  # the cameras farthest from each other
_SEEN_M = (0.6, 20.0)  # what a camera sees across at the place where the cameras meet; more, and a person is 5 pixels
_HEAD_M = (0.03, 60.0)
_HEIGHT_M = (0.5, 10.0)  # of the volume
_LENGTH_M = (0.5, 60.0)  # its longest side
_USUAL_M = 4.0
_FACTORS = (0.001, 0.01, 0.1, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Measure:
    """A length of the rig in its unit, what it is, and what is plausible in metres."""

    what: str
    length: float
    plausible: tuple[float, float]

    def fits(self, metres: float) -> bool:
        """Whether it is plausible where the unit is so long."""
        return self.plausible[0] <= self.length * metres <= self.plausible[1]


def check_scale(draft: Draft, layout: Layout) -> Iterator[Finding]:
    """The unit of the whole rig, or that of the volume alone where the cameras do not see it."""
    if draft.volume is not None and layout.place is not None and not layout.sight.any():
        yield _volume_elsewhere(draft, layout)
        return
    measures = _measures(draft, layout)
    wrong = [measure for measure in measures if not measure.fits(draft.metres)]
    if not wrong:
        return
    fitting = [unit for unit in METRES if all(measure.fits(METRES[unit]) for measure in measures)]
    if not fitting and draft.volume is not None and layout.place is not None:
        yield _volume_elsewhere(draft, layout)
        return
    change = None
    if fitting:
        unit = min(fitting, key=lambda name: abs(np.log(measures[0].length * METRES[name] / _USUAL_M)))
        change = replaced(f"Read the calibration in {unit}", {"/units": unit})
    told = " and ".join(f"{measure.what} {_metres(measure.length * draft.metres)}" for measure in wrong)
    asked = "is the unit right?" if fitting else "is that so?"
    tell = warning if fitting else hint
    yield tell("units", f"Read in {draft.units}, {told}: {asked}", at="units", change=change)


def _measures(draft: Draft, layout: Layout) -> list[Measure]:
    """The first tells most. How far the cameras are apart counts only where that does not look sound."""
    measures = []
    if draft.volume is not None and (layout.sight.any() or not len(layout.placed)):
        sides = draft.volume[1] - draft.volume[0]
        measures.append(Measure("the volume's longest side is", float(sides.max()), _LENGTH_M))
        if draft.up is not None:
            measures.append(Measure("the volume is high", float(np.abs(draft.up) @ sides), _HEIGHT_M))
    elif layout.place is not None:
        measures.append(Measure("where the cameras meet they see, across,", _across(layout), _SEEN_M))
    apart = _farthest(layout.centres)
    is_head = apart * draft.metres < _APART_M[0] and all(measure.fits(draft.metres) for measure in measures)
    if apart > 0 and not is_head:  # two cameras in one housing are near each other
        measures.append(Measure("the cameras stand apart by up to", apart, _APART_M))
    elif not measures:
        measures.append(Measure("the cameras stand apart by up to", apart, _HEAD_M))
    return measures


def _across(layout: Layout) -> float:
    """The median over cameras of the shorter side of what each sees at the place of meeting."""
    assert layout.place is not None  # noqa: S101 - has been seen to
    distances = np.linalg.norm(layout.centres - layout.place.place, axis=1)
    sides = np.array([(camera.border[1] - camera.border[0]).min() for camera in layout.placed])
    return float(np.median(distances * sides))


def _farthest(centres: Array) -> float:
    if len(centres) < 2:
        return 0.0
    return float(np.linalg.norm(centres[:, None] - centres, axis=-1).max())


def _volume_elsewhere(draft: Draft, layout: Layout) -> Finding:
    """The volume is not what the cameras see, though they look at a common place: in another unit, is it?"""
    assert draft.volume is not None  # noqa: S101 - has been seen to
    change = None
    for factor in _FACTORS:
        low, high = factor * draft.volume[0], factor * draft.volume[1]
        if _holds(layout, low, high):
            edits = (Edit("/volume/min", low.tolist()), Edit("/volume/max", high.tolist()))
            change = Change(f"Multiply the volume by {factor:g}", edits)
    sentence = "The volume is not where the cameras look together"
    sentence += ": it seems to be in another unit." if change else ": is it of another room?"
    change = change or replaced("Leave the volume out", {"/volume": None})
    return warning("volume_unseen", sentence, cameras=layout.indices, at="volume", change=change)


def _holds(layout: Layout, low: Array, high: Array) -> bool:
    """Whether most cameras see the volume's middle, and it is neither a point nor holds them all."""
    middle = ((low + high) / 2)[None]
    seen = np.mean([camera.sees(middle)[0] for camera in layout.placed])
    size, apart = float((high - low).max()), _farthest(layout.centres)
    return bool(seen > 0.6 and 0.05 * apart < size < 3 * apart)


def _metres(length: float) -> str:
    return f"{1000 * length:.3g} mm" if length < 0.1 else f"{length:,.3g} m" if length < 1000 else f"{length:,.0f} m"

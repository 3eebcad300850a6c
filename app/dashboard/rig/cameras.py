"""One line a camera: what is found in it, what labels show of it, and what is to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.dashboard.rig.figures import BEHIND, TURNED, CameraFigures, Change, Figures
from app.dashboard.rig.labels import LabelCounts


@dataclass(frozen=True)
class CameraLine:
    """A camera in the table and in the scene; ``state`` is ``warn``, ``bad`` or empty, ``note`` says why."""

    id: str
    jdr: Change
    turned_degrees: float | None
    moved_mm: float | None
    visible: int | None
    hidden: int | None
    covered: float | None
    state: str
    note: str

    @property
    def hidden_share(self) -> float | None:
        """How much of its labels is hidden, in percent."""
        if self.visible is None or self.hidden is None or self.visible + self.hidden == 0:
            return None
        return 100 * self.hidden / (self.visible + self.hidden)


def camera_lines(
    ids: Sequence[str], figures: Figures | None, counts: LabelCounts | None, covered: dict[str, float]
) -> list[CameraLine]:
    """The cameras in the rig's order."""
    overall = figures.quality.jdr.after if figures else None
    lines = []
    for view, id_ in enumerate(ids):
        told = (figures.cameras.get(id_) if figures else None) or CameraFigures(id_, Change(), None, None)
        visible = None if counts is None else int(counts.visible[view].sum())
        hidden = None if counts is None else int(counts.hidden[view].sum())
        state, note = _state(told, overall, None if visible is None or hidden is None else visible + hidden)
        share = covered.get(id_)
        lines.append(
            CameraLine(
                id_, told.jdr, told.turned_degrees, told.moved_mm, visible, hidden,
                None if share is None else 100 * share, state, note,
            )
        )  # fmt: skip
    return lines


def _state(told: CameraFigures, overall: float | None, labelled: int | None) -> tuple[str, str]:
    if told.fallback:
        return "bad", "left to its own heatmaps"
    if labelled == 0:
        return "bad", "has no labels"
    if told.turned_degrees is not None and told.turned_degrees >= TURNED:
        return "warn", f"turned by {told.turned_degrees:.1f}° to fit the labels"
    if overall is not None and told.jdr.after is not None and overall - told.jdr.after >= BEHIND:
        return "warn", f"{told.jdr.after:.0f}% found, {overall:.0f}% over all"
    return "", ""

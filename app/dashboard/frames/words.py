"""What fusion changed in a frame, in words."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_TOLD = 4


@dataclass(frozen=True)
class Change:
    """A joint of a camera that fusion ``gained`` or ``lost``, or ``moved`` where no label says which is right."""

    kind: str
    camera: str
    joint: str
    view: int
    number: int

    def as_json(self) -> dict[str, Any]:
        """As the document tells it."""
        return asdict(self)

    @property
    def place(self) -> str:
        """Which joint, and where."""
        return f"{self.joint.replace('_', ' ')} in {self.camera}"


def in_words(changes: Sequence[Change], *, is_labelled: bool, is_fused: bool) -> str:
    """One or two sentences, the same for reader and screen reader."""
    if not is_fused:
        return "Shown without fusion: each view's own joints."
    kinds = {kind: [change for change in changes if change.kind == kind] for kind in ("gained", "lost", "moved")}
    if not is_labelled:
        moved = kinds["moved"]
        if not moved:
            return "Every view's own peaks agree with the others; fusion moved no joint far."
        return f"{_count(moved)} placed elsewhere by the other views: {_places(moved)}."
    gained, lost = kinds["gained"], kinds["lost"]
    told = (
        f"{_count(gained)} found thanks to fusion: {_places(gained)}." if gained else "Fusion found no further joint."
    )
    return f"{told} {_count(lost)} lost: {_places(lost)}." if lost else f"{told} None was lost."


def _count(changes: Sequence[Change]) -> str:
    return "1 joint was" if len(changes) == 1 else f"{len(changes)} joints were"


def _places(changes: Sequence[Change]) -> str:
    told = ", ".join(change.place for change in changes[:_TOLD])
    return f"{told} and {len(changes) - _TOLD} more" if len(changes) > _TOLD else told

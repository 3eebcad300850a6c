"""What cameras are to each other: at one place, one inside another, looking at nothing that another sees."""

from collections.abc import Iterator

import numpy as np

from models.inspection.findings import Finding, error, replaced, warning
from models.inspection.reading import Draft
from models.inspection.space import Layout

_SAME_M = 1e-3  # what a rig is held to
_HOUSING_M = 0.03  # no two cameras are mounted closer: the smallest modules are about this wide
_SAME_VIEW = np.cos(np.radians(1.0))


def check_apart(draft: Draft, layout: Layout) -> Iterator[Finding]:
    """Cameras at one place, and cameras inside each other."""
    centres = layout.centres * draft.metres
    for second in range(1, len(centres)):
        gaps = np.linalg.norm(centres[:second] - centres[second], axis=1)
        first = int(gaps.argmin())
        if gaps[first] >= _HOUSING_M:
            continue
        a, b = layout.placed[first], layout.placed[second]
        where = {"cameras": [a.index, b.index], "at": f"cameras[{b.index}].t"}
        if gaps[first] >= _SAME_M:
            apart = f"stand {1000 * gaps[first]:.0f} mm apart"
            told = f"Cameras {a.id!r} and {b.id!r} {apart}: one would be inside the other."
            yield warning("camera_inside", told, **where)
        elif np.einsum("ij,ij->i", a.axes, b.axes).min() > _SAME_VIEW:
            yield error("same_pose", f"Cameras {a.id!r} and {b.id!r} stand at the same place and look the same way: is "
                        "one entered twice?", **where)  # fmt: skip
        else:
            yield error("same_place", f"Cameras {a.id!r} and {b.id!r} stand at the same place, turned differently.",
                        **where)  # fmt: skip


def check_overlap(draft: Draft, layout: Layout) -> Iterator[Finding]:
    """Cameras that see nothing of the volume, or nothing together with any other."""
    if len(layout.placed) < 2:
        return
    blind = np.flatnonzero(~layout.sight.any(1))
    if draft.volume is not None and len(blind):
        names = ", ".join(repr(layout.placed[i].id) for i in blind)
        tell = error if len(blind) == len(layout.placed) else warning
        change = replaced("Leave the volume out", {"/volume": None}) if 2 * len(blind) > len(layout.placed) else None
        yield tell("volume_unseen", f"The volume is outside of what {names} can see.",
                   cameras=[layout.indices[i] for i in blind], at="volume", change=change)  # fmt: skip
        return
    shared = layout.overlap - np.diag(np.diag(layout.overlap))
    if not shared.any():
        yield error("nothing_in_common", "No two cameras see anything in common: nothing can be fused.",
                    cameras=layout.indices, at="cameras")  # fmt: skip
        return
    for place in np.flatnonzero(~shared.any(1)):
        camera = layout.placed[place]
        away = layout.place is not None and (layout.place.place - camera.centre) @ camera.axes[2] < 0
        told = "looks away from where the others look" if away else "sees nothing that another camera sees"
        yield warning("alone", f"Camera {camera.id!r} {told}: is its pose right?", cameras=[camera.index],
                      at=f"cameras[{camera.index}].R")  # fmt: skip

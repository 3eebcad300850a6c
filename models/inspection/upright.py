"""Which way is up: the cameras' own images tell it, since most cameras are mounted level; and where the floor is."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.inspection.findings import Finding, hint, replaced, warning
from models.inspection.reading import Draft
from models.inspection.space import Layout

Array = NDArray[np.float64]
_AGREED = 0.9  # length of the mean of the images' up directions
_NEAR_AXIS = np.cos(np.radians(20.0))
_LEVEL = np.cos(np.radians(45.0))
_ROUND = 0.8  # mean length of level directions of view: cameras on one side only look the same way
_BELOW_M = 0.5


def check_up(draft: Draft, layout: Layout) -> Iterator[Finding]:
    """Up against what is up in the images, and cameras below the volume's floor."""
    if len(layout.placed) < 2:
        return
    ups = np.array([-camera.axes[1] for camera in layout.placed])
    mean = ups.mean(0)
    agreed = mean / np.linalg.norm(mean) if np.linalg.norm(mean) > _AGREED else None
    found: list[Finding] = []
    if draft.up is None:
        found += _missing(agreed)
    else:
        found += _against(draft.up, ups, agreed, layout)
    yield from found
    if draft.up is not None and not found:
        yield from _below(draft, layout)


def _missing(agreed: Array | None) -> Iterator[Finding]:
    if agreed is not None:
        up = _plain(agreed)
        yield hint("up_missing", f"up is not given; in the cameras' images {_text(up)} points up. Heatmaps of cameras "
                   "that are not level are better where it is known.", at="up",
                   change=replaced(f"Take up as {_text(up)}", {"/up": up}))  # fmt: skip


def _against(up: Array, ups: Array, agreed: Array | None, layout: Layout) -> Iterator[Finding]:
    cosines = ups @ up
    every = layout.indices
    if (cosines < -_LEVEL).all():
        change = replaced("Turn up round", {"/up": _plain(-up)})
        yield hint("upside_down", "With this up, every camera hangs upside down: does up point down?", at="up",
                   cameras=every, change=change)  # fmt: skip
    elif agreed is not None and abs(float(agreed @ up)) < _LEVEL and _look_round(agreed, layout):
        plain = _plain(agreed)
        change = replaced(f"Take up as {_text(plain)}", {"/up": plain})
        yield warning("up_axis", f"up is {_text(_plain(up))}, but in the cameras' images {_text(plain)} points up.",
                      at="up", change=change)  # fmt: skip


def _look_round(up: Array, layout: Layout) -> bool:
    """Whether the cameras look different ways about ``up``, so that they could not all be rolled alike."""
    axes = np.array([camera.axes[2] for camera in layout.placed])
    level = axes - (axes @ up)[:, None] * up
    return float(np.linalg.norm((level / np.maximum(np.linalg.norm(level, axis=1), 1e-9)[:, None]).mean(0))) < _ROUND


def _below(draft: Draft, layout: Layout) -> Iterator[Finding]:
    if draft.up is None or draft.volume is None or np.abs(draft.up).max() < _NEAR_AXIS:
        return
    axis = int(np.abs(draft.up).argmax())
    ends = np.array([corner[axis] for corner in draft.volume]) * np.sign(draft.up[axis])
    heights = (layout.centres @ draft.up - ends.min()) * draft.metres
    low = np.flatnonzero(heights < -_BELOW_M)
    if len(low):
        told = "Every camera stands" if len(low) == len(heights) else f"{len(low)} of {len(heights)} cameras stand"
        depth = f"{-heights[low].min():.1f} m" if len(low) == 1 else f"up to {-heights[low].min():.1f} m"
        tell = warning if len(low) > len(heights) / 2 else hint
        yield tell("below_floor", f"{told} {depth} below the floor of the volume: is up right, or the volume?",
                   cameras=[layout.indices[i] for i in low], at="volume.min")  # fmt: skip


def _plain(up: Array) -> list[float]:
    """The direction, as an axis of the world where it is nearly one."""
    axis = int(np.abs(up).argmax())
    if abs(up[axis]) > _NEAR_AXIS:
        return [float(np.sign(up[axis])) if i == axis else 0.0 for i in range(3)]
    return [round(float(value), 4) for value in up]


def _text(up: list[float]) -> str:
    return f"[{', '.join(f'{value:g}' for value in up)}]"

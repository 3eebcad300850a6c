"""The pictures in the image plane, the montage of heatmaps and the skeletons: arrays in, PNG files out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

from app.demo.style import AFTER, BEFORE, STYLE, TRUTH, new_figure, save
from models.skeletons import Skeleton

Array = NDArray[np.float64]
RGB = NDArray[np.uint8]
_OUTLINE = [patheffects.withStroke(linewidth=2, foreground="black")]


@dataclass(frozen=True)
class Panel:
    """One heatmap [64, 64] of the montage, drawn on a scale from 0 to its maximum, or to ``floor`` if that is more.

    ``caption`` stands in its corner; ``peak`` is where its best peak lies, ``served`` the joint as it was answered.
    """

    values: NDArray[np.floating[Any]]
    caption: str = ""
    floor: float = 1e-6
    peak: Array | None = None
    served: Array | None = None


@dataclass(frozen=True)
class Example:
    """One row of the montage: a joint of one view, all in heatmap pixels of that view.

    ``background`` is the view as the camera shows it (RGB, any square size), None where there is no camera image;
    ``body`` [J, 2] the true joints, drawn where there is none; ``joint`` the index of the one shown; ``radius`` half a
    head.
    """

    title: str
    note: str
    helped: bool
    background: RGB | None
    body: Array
    skeleton: Skeleton
    joint: int
    radius: float
    panels: tuple[Panel, ...]


def montage(examples: Sequence[Example], columns: Sequence[str], heading: str, note: str, path: Path) -> Path:
    """The paper's Figure 6 for this rig: per row the truth, the first heatmap, the warped ones and the fused one."""
    with mpl.rc_context(STYLE):
        count = len(columns) + 1
        width, height = 1.75 * count + 1.7, 1.86 * len(examples) + 1.3
        figure = new_figure(width, height, heading, note)
        grid = figure.add_gridspec(
            len(examples), count, left=1.7 / width, right=1 - 0.12 / width, top=1 - 0.78 / height,
            bottom=0.56 / height, wspace=0.05, hspace=0.06,
        )  # fmt: skip
        for row, example in enumerate(examples):
            axes = [figure.add_subplot(grid[row, column]) for column in range(count)]
            _example(axes, example)
            if row == 0:
                for axis, title in zip(axes, ("truth", *columns), strict=True):
                    axis.set_title(title, pad=4)
        return save(figure, path)


def _example(axes: Sequence[Any], example: Example) -> None:
    axes[0].text(
        -0.06, 0.6, example.title, transform=axes[0].transAxes, ha="right", va="center", fontsize=9, linespacing=1.35
    )
    axes[0].text(
        -0.06, 0.26, example.note, transform=axes[0].transAxes, ha="right", va="center", fontsize=8, linespacing=1.35,
        color=AFTER if example.helped else BEFORE,
    )  # fmt: skip
    _window(axes[0], example.background, dim=1.0)
    if example.background is None:
        for limb in example.skeleton.limbs:
            axes[0].plot(*example.body[list(limb)].T, color="#c9ced6", linewidth=1.2)
    for axis, panel in zip(axes[1:], example.panels, strict=True):
        _window(axis, example.background, dim=0.45)
        _panel(axis, panel, transparent=example.background is not None)
    for axis in axes:
        for colour, size in (("white", 2.2), (TRUTH, 1.3)):
            place = tuple(example.body[example.joint])
            axis.add_patch(Circle(place, example.radius, fill=False, color=colour, linewidth=size))


def _window(axis: Any, background: RGB | None, dim: float) -> None:
    """An axis of one view in heatmap pixels, with the camera's image under it."""
    axis.set(xlim=(-0.5, 63.5), ylim=(63.5, -0.5), xticks=[], yticks=[], facecolor="#15171c", aspect="equal")
    for spine in axis.spines.values():
        spine.set_visible(False)
    if background is not None:
        shown = background if dim == 1.0 else (background.mean(-1, keepdims=True) * dim).repeat(3, -1).astype(np.uint8)
        axis.imshow(shown, extent=(-0.5, 63.5, 63.5, -0.5), interpolation="bilinear")


def _panel(axis: Any, panel: Panel, *, transparent: bool) -> None:
    level = np.clip(panel.values / max(float(panel.values.max()), panel.floor), 0, 1)
    colours = mpl.colormaps["inferno"](level)
    if transparent:
        colours[..., 3] = np.clip(1.6 * level, 0, 0.92)
    axis.imshow(colours, extent=(-0.5, 63.5, 63.5, -0.5), interpolation="nearest")
    for place, marker, size in ((panel.peak, "x", 5), (panel.served, "D", 8)):
        if place is not None:
            for colour, edge in (("black", 2.6), ("white", 1.2)):
                axis.plot(*place, marker, color=colour, markersize=size, markeredgewidth=edge, markerfacecolor="none")
    axis.text(2, 61, panel.caption, color="white", fontsize=7.5, path_effects=_OUTLINE)


@dataclass(frozen=True)
class Overlay:
    """One view of the before-and-after picture: joints [J, 2] in heatmap pixels.

    ``wrong`` [J] says which lie farther than half a head from the truth; ``shown`` [J] which joints to draw.
    """

    camera: str
    background: RGB | None
    truth: Array
    before: Array
    after: Array
    wrong_before: NDArray[np.bool_]
    wrong_after: NDArray[np.bool_]
    shown: NDArray[np.bool_]


def overlays(views: Sequence[Overlay], skeleton: Skeleton, heading: str, note: str, path: Path) -> Path:
    """Skeletons over the views of one frame: no fusion in the upper row, fused in the lower."""
    with mpl.rc_context(STYLE):
        width, height = 2.6 * len(views) + 0.6, 6.4
        figure = new_figure(width, height, heading, note)
        grid = figure.add_gridspec(
            2, len(views), left=0.5 / width, right=1 - 0.12 / width, top=1 - 0.78 / height, bottom=0.6 / height,
            wspace=0.04, hspace=0.05,
        )  # fmt: skip
        for column, view in enumerate(views):
            for row in (0, 1):
                axis = figure.add_subplot(grid[row, column])
                _overlay(axis, view, skeleton, fused=row == 1)
                if row == 0:
                    axis.set_title(view.camera, pad=4)
                if column == 0:
                    axis.set_ylabel(("no fusion", "fused")[row], fontsize=10, color=(BEFORE, AFTER)[row])
        handles = [
            Line2D([], [], color=TRUTH, linewidth=1.6, label="truth"),
            Line2D([], [], color=BEFORE, linewidth=2.4, label="no fusion"),
            Line2D([], [], color=AFTER, linewidth=2.4, label="fused"),
            Line2D(
                [], [], color="black", marker="x", linestyle="", markeredgewidth=1.8, label="off by half a head or more"
            ),
        ]
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.4 / width, 0.26 / height), ncols=4)
        return save(figure, path)


def _overlay(axis: Any, view: Overlay, skeleton: Skeleton, *, fused: bool) -> None:
    _window(axis, view.background, dim=1.0)
    joints, wrong = (view.after, view.wrong_after) if fused else (view.before, view.wrong_before)
    colour = AFTER if fused else BEFORE
    for points, line, size in ((view.truth, TRUTH, 1.4), (joints, colour, 2.2)):
        for a, b in skeleton.limbs:
            if view.shown[a] and view.shown[b]:
                axis.plot(points[[a, b], 0], points[[a, b], 1], color="white", linewidth=size + 1.2, alpha=0.7)
                axis.plot(points[[a, b], 0], points[[a, b], 1], color=line, linewidth=size, solid_capstyle="round")
    bad = wrong & view.shown
    axis.plot(joints[bad, 0], joints[bad, 1], "x", color="white", markersize=8, markeredgewidth=3.4)
    axis.plot(joints[bad, 0], joints[bad, 1], "x", color="black", markersize=7.4, markeredgewidth=1.8)

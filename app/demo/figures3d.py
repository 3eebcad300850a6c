"""The 3D picture: skeletons in space at one frame, and how one joint moves over time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, MultipleLocator
from mpl_toolkits.mplot3d import Axes3D  # noqa: F401 - registers the 3d projection
from numpy.typing import NDArray

from app.demo.style import AFTER, BEFORE, MUTED, STYLE, TRUTH, new_figure, save
from models.skeletons import Skeleton

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """Joints in the truth's world, metres [F, J, 3], NaN where not triangulated, and what to show of them.

    ``shown`` [J] are the joints to draw, ``frame`` the index of the pose, ``joint`` the joint to follow; ``hidden`` [F]
    the number of views that it is hidden in; ``seconds`` [F] the time of each frame.
    """

    truth: Array
    before: Array
    after: Array
    shown: NDArray[np.bool_]
    frame: int
    joint: int
    hidden: NDArray[np.intp]
    seconds: Array
    frame_name: str
    truth_name: str


def motion(data: Motion, skeleton: Skeleton, heading: str, note: str, path: Path) -> Path:
    """Two poses in space (no fusion, fused) against the truth, and one joint's coordinates over time."""
    with mpl.rc_context(STYLE):
        width, height = 12.4, 5.6
        figure = new_figure(width, height, heading, note)
        grid = figure.add_gridspec(
            3, 3, width_ratios=(1, 1, 1.25), left=0.025, right=0.985, top=0.85, bottom=0.13, wspace=0.14, hspace=0.18
        )
        for column, (joints, colour, name) in enumerate(
            ((data.before, BEFORE, "no fusion"), (data.after, AFTER, "fused"))
        ):
            axis: Any = figure.add_subplot(grid[:, column], projection="3d")
            _space(axis, data, skeleton, joints[data.frame], colour)
            axis.set_title(f"{name}, frame {data.frame_name}", color=colour, fontsize=10, pad=0)
        axes: list[Any] = [figure.add_subplot(grid[row, 2]) for row in range(3)]
        _trajectory(axes, data)
        joint_name = skeleton.joints[data.joint].replace("_", " ")
        axes[0].set_title(f"{joint_name} over time (m); shaded: hidden in a view", fontsize=10, loc="left")
        figure.legend(handles=_handles(data.truth_name), loc="upper left", bbox_to_anchor=(0.005, 0.925), ncols=3)
        return save(figure, path)


def _handles(truth_name: str) -> list[Line2D]:
    return [
        Line2D([], [], color=TRUTH, linewidth=2, label=truth_name),
        Line2D([], [], color=BEFORE, linewidth=2, label="no fusion"),
        Line2D([], [], color=AFTER, linewidth=2, label="fused"),
    ]


def _space(axis: Any, data: Motion, skeleton: Skeleton, joints: Array, colour: str) -> None:
    truth = data.truth[data.frame]
    for points, line, size in ((truth, TRUTH, 3.2), (joints, colour, 1.8)):
        for a, b in skeleton.limbs:
            if data.shown[a] and data.shown[b]:
                axis.plot(*points[[a, b]].T, color=line, linewidth=size, solid_capstyle="round")
        axis.scatter(*points[data.shown].T, color=line, s=9 if size < 2 else 4, depthshade=False)
    low, high = truth[data.shown].min(0) - 0.15, truth[data.shown].max(0) + 0.15
    middle, half = (low + high) / 2, (high - low).max() / 2
    for name, centre in zip("xyz", middle, strict=True):
        axis.set(**{f"{name}lim": (centre - half, centre + half)})
        getattr(axis, f"{name}axis").set_tick_params(labelsize=6, pad=-3)
        getattr(axis, f"{name}axis").pane.set(facecolor="#f6f7f9", edgecolor="#d9dce1")
        getattr(axis, f"{name}axis").set_major_locator(MultipleLocator(0.5))
    axis.set_box_aspect((1, 1, 1), zoom=1.12)
    axis.view_init(elev=12, azim=_across(truth[data.shown]))
    axis.grid(color="#e3e5e9")


def _across(points: Array) -> float:
    """The azimuth in degrees from which the horizontal spread of points [N, 3] is seen widest, a little aside."""
    flat = points[:, :2] - points[:, :2].mean(0)
    widest = np.linalg.svd(flat, full_matrices=False)[2][0]
    return float(np.degrees(np.arctan2(widest[1], widest[0]))) + 90.0 + 20.0


def _trajectory(axes: list[Any], data: Motion) -> None:
    for coordinate, axis in enumerate(axes):
        for joints, colour, size in ((data.truth, TRUTH, 3.0), (data.before, BEFORE, 1.3), (data.after, AFTER, 1.3)):
            axis.plot(data.seconds, joints[:, data.joint, coordinate], color=colour, linewidth=size)
        axis.fill_between(
            data.seconds, 0, 1, where=data.hidden > 0, transform=axis.get_xaxis_transform(), color=MUTED, alpha=0.15,
            linewidth=0, step="mid",
        )  # fmt: skip
        _limits(axis, data.truth[:, data.joint, coordinate])
        axis.text(0.015, 0.93, "xyz"[coordinate], transform=axis.transAxes, va="top", fontsize=10, fontweight="bold")
        axis.yaxis.set_major_locator(MaxNLocator(4))
        axis.tick_params(labelbottom=coordinate == 2)
        axis.set_xlim(data.seconds[0], data.seconds[-1])
    axes[2].set_xlabel("seconds")


def _limits(axis: Any, truth: Array) -> None:
    """A little more than the truth's range: a joint gone far astray leaves the picture instead of flattening it."""
    low, high = float(np.nanmin(truth)), float(np.nanmax(truth))
    room = max(0.5 * (high - low), 0.25)
    axis.set_ylim(low - room, high + room)

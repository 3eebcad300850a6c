"""The look of the pictures. Colours are Okabe and Ito's, told apart by colour-blind readers too."""

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TRUTH, BEFORE, AFTER, MUTED = "#009E73", "#D55E00", "#0072B2", "#6B7280"
STYLE: Any = {  # Any: Matplotlib types the names of all settings one by one
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": MUTED, "legend.frameon": False,
}  # fmt: skip
DPI = 150


def new_figure(width: float, height: float, heading: str, note: str) -> Figure:
    """A white figure of ``width`` × ``height`` inches with a heading at its top and a note at its foot."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.14 / width, 1 - 0.36 / height, heading, fontsize=13, fontweight="bold")
    figure.text(0.14 / width, 0.13 / height, note, color=MUTED, fontsize=8)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path

"""The benchmark's rows as figures, shaped like the paper's."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks import _paper
from benchmarks._cells import SYSTEMS
from benchmarks._families import FAMILIES
from benchmarks._intervals import Row
from benchmarks._tables import ALIKE, jdr, pick

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = {
    "none": "#555555", "robust": "#999999", "epipolar-sum": "#E69F00", "epipolar-max": "#B8860B", "naive": "#D55E00",
    "naive-meta": "#CC79A7", "affine": "#56B4E9", "paper": "#0072B2", "paper-search": "#003f7f", "ours": "#009E73",
    "ours-labels": "#004D40",
}  # fmt: skip


def over_frames(rows: Sequence[Row], path: Path) -> None:
    """JDR over the number of labelled frames (the paper's figures 6 and 7), the paper's own curves beside it."""
    families = [f for f in ("h36m", "studio4") if pick(rows, family=f, error="0", rig=0, k=100)]
    figure, axes = plt.subplots(1, len(families) + 1, figsize=(5 * (len(families) + 1), 4.4), layout="constrained")
    for axis, family in zip(axes, families, strict=False):
        for system in (
            "none",
            "epipolar-sum",
            "epipolar-max",
            "naive",
            "naive-meta",
            "affine",
            "paper",
            "paper-search",
            "ours",
        ):
            _curve(axis, [r for r in pick(rows, family=family, error="0", rig=0, system=system) if r["k"] <= 500])
        _dress(axis, f"{FAMILIES[family].title}, exact", "labelled frames")
        axis.set_xscale("log")
        axis.set_xticks([10, 25, 50, 100, 200, 500], labels=["10", "25", "50", "100", "200", "500"])
        axis.minorticks_off()
    for system in ("naive", "naive-meta", "paper"):
        points = sorted((k, value) for (name, k), value in _paper.AVERAGE_JDR.items() if name == system)
        axes[-1].plot(*zip(*points, strict=True), "o--", color=COLOURS[system], label=SYSTEMS[system].title)
    axes[-1].axhline(_paper.AVERAGE_JDR["none", 0], color=COLOURS["none"], linestyle="--", label="No-Fusion")
    _dress(axes[-1], "the paper's figures (Panoptic, other data)", "labelled frames")
    axes[-1].set_xticks([50, 100, 200, 500])
    figure.savefig(path, dpi=110)
    plt.close(figure)


def over_errors(rows: Sequence[Row], path: Path, k: int = 50) -> None:
    """JDR over the error of the cameras that were sent, a panel a family; the last place is labels alone."""
    families = [f for f in FAMILIES if pick(rows, family=f, k=k)]
    columns = min(3, len(families))
    lines = -(-len(families) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.8 * columns, 3.9 * lines), layout="constrained", squeeze=False, sharey=True
    )
    for axis in axes.flat[len(families) :]:
        axis.set_axis_off()
    for axis, family in zip(axes.flat, families, strict=False):
        _errors(axis, [row for row in rows if row["family"] == family and row["k"] in {0, k}])
        _dress(axis, FAMILIES[family].title, "cameras off by (degrees)")
    axes.flat[0].legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _errors(axis: Axes, rows: Sequence[Row]) -> None:
    errors = sorted({row["error"] for row in rows if row["error"] != "labels"}, key=float)
    for system in ALIKE:
        found = [(place, jdr(r)) for place, e in enumerate(errors) if (r := pick(rows, error=e, system=system))]
        if found:
            _band(axis, [place for place, _ in found], [value for _, value in found], system)
    alone = pick(rows, error="labels", system="ours-labels")
    if alone:
        value = jdr(alone)
        axis.errorbar(
            [len(errors)], [value.value], [[value.value - value.low], [value.high - value.value]],
            fmt="D", color=COLOURS["ours-labels"], label=SYSTEMS["ours-labels"].title, capsize=3,
        )  # fmt: skip
    axis.set_xticks(range(len(errors) + 1), labels=[*errors, "labels\nonly"])


def _curve(axis: Axes, rows: Sequence[Row]) -> None:
    """One system over K; what needs no labels is a level."""
    if not rows:
        return
    system, ordered = rows[0]["system"], sorted(rows, key=lambda row: row["k"])
    if SYSTEMS[system].labels:
        _band(axis, [row["k"] for row in ordered], [jdr([row]) for row in ordered], system)
    else:
        axis.axhline(jdr(ordered[:1]).value, color=COLOURS[system], linestyle="--", label=SYSTEMS[system].title)


def _band(axis: Axes, places: Sequence[float], values: Sequence, system: str) -> None:
    axis.plot(places, [v.value for v in values], "o-", color=COLOURS[system], label=SYSTEMS[system].title, markersize=4)
    axis.fill_between(places, [v.low for v in values], [v.high for v in values], color=COLOURS[system], alpha=0.15)


def _dress(axis: Axes, title: str, along: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(along)
    axis.set_ylabel("JDR (%)")
    axis.grid(alpha=0.3)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    if "figures" in title or "exact" in title:
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)  # beside no curve

"""Tables and figures of the benchmark of new rigs."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from benchmarks._cells import SYSTEMS, THRESHOLD_PX
from benchmarks._figures import over_errors, over_frames
from benchmarks._intervals import Row
from benchmarks._tables import by_count, by_error, contrasts, gross, hidden, jdr, mpjpe, pick, pictorial_mpjpe

_PREFACE = (
    f"Written by `python -m benchmarks.new_rig --report`. JDR in percent within {THRESHOLD_PX} heatmap pixels, of "
    "all joints and of hidden ones; MPJPE in millimetres, of the joints that are placed in space; in brackets 95% "
    "bootstrap intervals, whole takes resampled. Rigs, motion and detector are simulated and were not part of "
    "meta-training; labels are off by 0.25 heatmap pixels. Nothing needs labels but the adapted systems and the "
    "gains of epipolar fusion."
)


def summary(rows: Sequence[Row]) -> Table:
    """A line a cell, the rigs of a family together."""
    shown = Table("family", "off by", "K", "system", "JDR", "hidden", "MPJPE", "> 100 mm or none", "seconds")
    for family, error, k, system in dict.fromkeys((r["family"], r["error"], r["k"], r["system"]) for r in rows):
        group = pick(rows, family=family, error=error, k=k, system=system)
        seconds = sum(row["seconds"] for row in group) / len(group)
        figures = [f(group).value for f in (jdr, hidden, mpjpe, gross)]
        told = "labels only" if error == "labels" else f"{error}°"
        shown.add_row(family, told, str(k), SYSTEMS[system].title, *(f"{v:.1f}" for v in figures), f"{seconds:.0f}")
    return shown


def write_report(rows: Sequence[Row], folder: Path) -> None:
    """``new_rig.md`` and its figures."""
    folder.mkdir(parents=True, exist_ok=True)
    over_errors(rows, folder / "jdr_over_camera_error.png")
    sections = [
        "# New rigs",
        _PREFACE,
        "## 50 labelled frames: what adapting gives",
        "Differences are paired over the same frames.",
        contrasts(rows, 50),
        "![JDR over camera error](jdr_over_camera_error.png)",
        "## 50 labelled frames: detection",
        by_error(rows, 50, jdr, hidden),
        "## 50 labelled frames: in space",
        by_error(rows, 50, mpjpe, pictorial_mpjpe, gross),
    ]
    if pick(rows, k=10):
        sections += ["## 10 labelled frames", contrasts(rows, 10), by_error(rows, 10, jdr, hidden)]
    if pick(rows, k=100):
        over_frames(rows, folder / "jdr_over_frames.png")
        sections += ["## Over the number of labelled frames", "![JDR over frames](jdr_over_frames.png)"]
        for family, title in (("h36m", "Human3.6M's cameras, subject 9"), ("studio4", "a random studio of 4 cameras")):
            sections += [f"### {title}, exact cameras", by_count(rows, family)]
    (folder / "new_rig.md").write_text("\n\n".join(sections).replace("\n\n\n", "\n\n"))

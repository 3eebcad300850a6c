"""The matrix of ordered pairs: for each target (row) and source (column), what fusion gains, coverage, agreement."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from app.dashboard.rig.figures import PairFigures
from app.dashboard.rig.labels import LabelCounts

_SHADES = 6
_BAD_EPIPOLAR_PX = 2.0  # heatmap pixels; from here on the darkest shade
_BAD_LOSS = 20.0  # points of JDR
Value = float | None


@dataclass(frozen=True)
class Measure:
    """What a cell may show: ``gain`` shades rise with what is good, ``error`` shades with what is not."""

    key: str
    title: str
    about: str
    scale: str = "gain"


MEASURES = (
    Measure(
        "found", "Found by fusion", "Points of JDR that fusing gains in the target (row) on held-out joints that are "
        "hidden there and seen by the source (column); negative where it loses.",
    ),
    Measure("weight", "Weight γ", "How much the target (row) listens to the source (column); 0 is not at all."),
    Measure("shared", "Labels in both", "Joints of the newest capture that are labelled in both cameras of the pair."),
    Measure(
        "lent", "Hidden here, seen there",
        "Labelled joints that are hidden in the target (row) and seen by the source (column): what it can be told.",
    ),
    Measure(
        "epipolar", "Epipolar error", "How far labels of the source lie from the epipolar lines of the target's, in "
        "heatmap pixels, with the cameras that are used.", "error",
    ),
    Measure(
        "sent", "Epipolar error as sent", "The same with the cameras as they were sent, before they were repaired.",
        "error",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """What one pair shows: a number, and one of the classes g0 to g6, l1 to l6 (a loss) and e0 to e6."""

    text: str
    shade: str


@dataclass(frozen=True)
class Matrix:
    """The measures that there is something to show of, each with its cells row by row; the diagonal is None."""

    cameras: tuple[str, ...]
    measures: tuple[Measure, ...]
    cells: Mapping[str, tuple[tuple[Cell | None, ...], ...]]
    notes: Mapping[str, str]

    def shown(self, wanted: str) -> Measure | None:
        """The measure of that name, or else the first one."""
        named = [measure for measure in self.measures if measure.key == wanted]
        return next(iter([*named, *self.measures]), None)

    def script(self) -> dict[str, Any]:
        """The same for a script, which switches between measures; ``notes`` are keyed by row and column."""
        return {
            "cameras": self.cameras,
            "measures": [vars(measure) for measure in self.measures],
            "cells": {
                key: [[[cell.text, cell.shade] if cell else None for cell in row] for row in rows]
                for key, rows in self.cells.items()
            },
            "notes": self.notes,
        }


def matrix(cameras: Sequence[str], pairs: Mapping[tuple[str, str], PairFigures], counts: LabelCounts | None) -> Matrix:
    """The matrix of a rig; ``pairs`` are empty where it has no checkpoint, ``counts`` None where it has no labels."""
    values = {measure.key: _grid(cameras, _reader(measure.key, pairs, counts)) for measure in MEASURES}
    if values["sent"] == values["epipolar"]:  # nothing was repaired
        values["sent"] = []
    told = tuple(measure for measure in MEASURES if any(value is not None for value in _flat(values[measure.key])))
    numbers = {camera: index for index, camera in enumerate(cameras)}
    return Matrix(
        tuple(cameras),
        told,
        {measure.key: _cells(measure, values[measure.key]) for measure in told},
        {f"{numbers[p.target]},{numbers[p.source]}": p.dropped for p in pairs.values()
         if p.dropped and p.target in numbers and p.source in numbers},
    )  # fmt: skip


def _reader(
    key: str, pairs: Mapping[tuple[str, str], PairFigures], counts: LabelCounts | None
) -> Callable[[int, int, str, str], Value]:
    """What the measure says of a pair, named both by position and by id."""
    if key in {"shared", "lent"}:
        table = None if counts is None else getattr(counts, key)
        return lambda row, column, _t, _s: None if table is None else float(table[row, column])
    read: dict[str, Callable[[PairFigures], Value]] = {
        "found": lambda pair: pair.found.delta,
        "weight": lambda pair: pair.gain,
        "epipolar": lambda pair: pair.epipolar_px.after,
        "sent": lambda pair: pair.epipolar_px.before,
    }
    return lambda _r, _c, target, source: read[key](pairs[target, source]) if (target, source) in pairs else None


def _grid(cameras: Sequence[str], read: Callable[[int, int, str, str], Value]) -> list[list[Value]]:
    count = range(len(cameras))
    grid: list[list[Value]] = [[None for _ in count] for _ in count]
    for row, column in product(count, count):
        if row != column:
            grid[row][column] = read(row, column, cameras[row], cameras[column])
    return grid


def _flat(grid: list[list[Value]]) -> Iterator[Value]:
    return (value for row in grid for value in row)


def _cells(measure: Measure, grid: list[list[Value]]) -> tuple[tuple[Cell | None, ...], ...]:
    most = max((abs(value) for value in _flat(grid) if value is not None), default=0.0)
    return tuple(
        tuple(None if row == column else _cell(measure, value, most) for column, value in enumerate(line))
        for row, line in enumerate(grid)
    )


def _cell(measure: Measure, value: Value, most: float) -> Cell:
    if value is None:
        return Cell("·", "")
    if measure.scale == "error":
        return Cell(f"{value:.2f}", f"e{_shade(value, _BAD_EPIPOLAR_PX)}")
    if value < 0:
        return Cell(_text(measure.key, value), f"l{max(1, _shade(-value, _BAD_LOSS))}")
    return Cell(_text(measure.key, value), f"g{_shade(value, most)}")


def _text(key: str, value: float) -> str:
    if key == "found":
        return f"{value:+.0f}".replace("-", "−") if round(value) else "0"
    return f"{value:.2f}" if key == "weight" else f"{value:.0f}"


def _shade(value: float, most: float) -> int:
    return min(_SHADES, round(_SHADES * value / most)) if most > 0 else 0

"""Learning curves as they are drawn: lines, ticks and a table of the same, all in the units of one picture."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.adaptations.curves import Curve
from models.curves import HELD_BACK, LOSS

WIDTH, HEIGHT = 640, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 12, 36
_TICKS = 5
_WORDS = {
    LOSS: "frames it learns from (a mean over the steps between points)",
    HELD_BACK: "frames held back from learning",
}
_PHASES = {
    "finetune": ("Finetuning: loss on heatmaps", "Loss of the fused heatmaps against the labels; lower is better."),
    "lines": (
        "Finding the lines: loss on labels alone",
        "The labels are drawn wide at first and narrower three times, so the curve has steps; lower is better.",
    ),
}


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and what is written there."""

    at: float
    told: str


@dataclass(frozen=True)
class Line:
    """A curve: the points of its polyline, and where it ended."""

    name: str
    words: str
    points: str
    end: tuple[float, float]
    first: float
    last: float
    lowest: float


@dataclass(frozen=True)
class Chart:
    """A picture of one phase, and the same as rows of step and value by curve."""

    phase: str
    title: str
    note: str
    lines: Sequence[Line]
    steps: Sequence[Tick]
    values: Sequence[Tick]
    table: Sequence[tuple[int, Sequence[float | None]]]
    kept: float | None

    @property
    def told(self) -> str:
        """The picture in words."""
        return f"{self.title}. " + " ".join(
            f"{line.words}: from {line.first:.3g} to {line.last:.3g}, lowest {line.lowest:.3g}." for line in self.lines
        )


def charts(curves: Iterable[Curve], steps: int = 0, kept_step: int | None = None) -> list[Chart]:
    """A chart of every phase that has points.

    ``steps`` is where finetuning ends, ``kept_step`` the step whose weights were kept, where one was.
    """
    return [chart for curve in curves if (chart := _chart(curve, steps, kept_step)) is not None]


def _chart(curve: Curve, until: int, kept_step: int | None) -> Chart | None:
    named = {name: curve.points[name] for name in (LOSS, HELD_BACK) if curve.points.get(name)}
    points = [point for told in named.values() for point in told]
    if not points:
        return None
    steps, values = [step for step, _ in points], [value for _, value in points]
    last = max(*steps, until if curve.phase == "finetune" else 0)
    across = _Axis.over(min(steps), last, LEFT, WIDTH - RIGHT, whole=True)
    up = _Axis.over(min(values), max(values), HEIGHT - BOTTOM, TOP)
    title, note = _PHASES.get(curve.phase, (curve.phase.capitalize(), "Lower is better."))
    by_step = {step: {name: dict(told).get(step) for name, told in named.items()} for step in sorted(set(steps))}
    kept = kept_step is not None and curve.phase == "finetune" and min(steps) <= kept_step <= max(steps)
    return Chart(
        phase=curve.phase,
        title=title,
        note=note,
        lines=[_line(name, told, across, up) for name, told in named.items()],
        steps=across.ticks(),
        values=up.ticks(),
        table=[(step, [row[name] for name in named]) for step, row in by_step.items()],
        kept=across.at(kept_step) if kept and kept_step is not None else None,
    )


def _line(name: str, told: Sequence[tuple[int, float]], across: "_Axis", up: "_Axis") -> Line:
    places = [(across.at(step), up.at(value)) for step, value in told]
    values = [value for _, value in told]
    return Line(
        name=name,
        words=_WORDS[name],
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        end=places[-1],
        first=values[0],
        last=values[-1],
        lowest=min(values),
    )


@dataclass(frozen=True)
class _Axis:
    """Round numbers from ``low`` to ``high``, a tick every ``step``, drawn from ``start`` to ``stop``."""

    low: float
    high: float
    step: float
    start: float
    stop: float

    @classmethod
    def over(cls, low: float, high: float, start: float, stop: float, *, whole: bool = False) -> "_Axis":
        if low == high and not whole:
            low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
        spread = high - low or 1.0
        rough = spread / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough * 0.999)
        if whole:
            return cls(low, max(high, low + 1), max(1.0, step), start, stop)
        return cls(math.floor(low / step) * step, math.ceil(high / step) * step, step, start, stop)

    def at(self, value: float) -> float:
        return self.start + (self.stop - self.start) * (value - self.low) / (self.high - self.low or 1.0)

    def ticks(self) -> list[Tick]:
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        digits = max(0, -math.floor(math.log10(self.step)))
        return [Tick(self.at(i * self.step), f"{i * self.step:.{digits}f}") for i in range(first, last + 1)]

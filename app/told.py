"""Reading what some version of a worker wrote: what is missing or odd is None, and no page fails by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ENDLESS = 1e300


@dataclass(frozen=True)
class Figure:
    """A number with the interval that it has; None where it is unknown."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def reach(self) -> float:
        """How far from zero it or its interval goes."""
        return max((abs(end) for end in (self.value, self.low, self.high) if end is not None), default=0.0)


def number(value: object, times: float = 1) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _ENDLESS:
        return None
    return times * float(value)


def figure(row: Mapping[str, Any], name: str, interval: str, times: float = 1) -> Figure:
    """The number ``name`` of a row with the ``interval`` beside it."""
    ends = row.get(interval)
    low, high = [number(end, times) for end in ends] if isinstance(ends, list) and len(ends) == 2 else (None, None)
    known = low is not None and high is not None
    return Figure(number(row.get(name), times), low if known else None, high if known else None)


def mapping(value: object) -> Mapping[str, Any]:
    """An object of JSON; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def rows(value: object) -> Sequence[Mapping[str, Any]]:
    """The objects of a list of JSON."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Text, or nothing."""
    return value if isinstance(value, str) else ""

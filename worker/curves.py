"""Points of learning curves that wait to be written with the next report of an attempt."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from app.adaptations.curves import Curve
from models.curves import Point

MOST_POINTS = 200  # of one curve; methods that ship tell far fewer


class Waiting:
    """What an attempt was told of its curves and has not written; a method that tells without end is cut short."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._told: Counter[tuple[str, str]] = Counter()

    def add(self, point: Point) -> None:
        """Keep a point until it is written."""
        self._told[point.phase, point.curve] += 1
        if self._told[point.phase, point.curve] <= MOST_POINTS:
            self._points.append(point)

    def curves(self) -> tuple[Curve, ...]:
        """All that waits, by phase."""
        return tuple(_by_phase(self._points))

    def written(self) -> None:
        """Forget what waited: it is in the database."""
        self._points.clear()


def _by_phase(points: Iterable[Point]) -> Iterable[Curve]:
    phases: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        phases[point.phase][point.curve].append((point.step, point.value))
    for phase, curves in phases.items():
        yield Curve(phase, {name: tuple(told) for name, told in curves.items()})

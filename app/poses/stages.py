"""How long the stages of a pose request take, summed over its frames."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app import tracing


class Stages:
    """The seconds of one request by stage; told once, when it has been answered.

    receive: the body comes in; wait: for a turn; check: of the files; load: of the engine, where it is not there yet;
    decode and backbone: images to heatmaps; fuse; triangulate; respond: the answer is written. What is computed
    together with others takes each of them all of that time.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._last = time.perf_counter()
        self._spans = tracing.Backdated()

    def add(self, stage: str, seconds: float) -> None:
        """Count so many seconds to a stage."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
        self._spans.add(stage, seconds)

    def ended(self, stage: str) -> None:
        """A stage ends now that began when the one before it ended."""
        now = time.perf_counter()
        self.add(stage, now - self._last)
        self._last = now

    def resume(self) -> None:
        """The next stage begins now; what came before has been counted already."""
        self._last = time.perf_counter()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time that the block takes to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - started)

    def tell(self, observe: Callable[[str, float], None]) -> None:
        """Tell every stage that took any time."""
        for stage, seconds in self._seconds.items():
            observe(stage, seconds)

"""How long each stage of an attempt took."""

import time
from collections import defaultdict
from collections.abc import Mapping


class StageClock:
    """Stages that follow one another, after some seconds ``spent`` before; one that comes again goes on counting."""

    def __init__(self, first: str, spent: Mapping[str, float]) -> None:
        self._stage, self._since = first, time.monotonic()
        self._seconds: dict[str, float] = defaultdict(float, spent)

    def enter(self, stage: str) -> None:
        """The stage that is at work from now on."""
        now = time.monotonic()
        self._seconds[self._stage] += now - self._since
        self._stage, self._since = stage, now

    def seconds(self) -> dict[str, float]:
        """The seconds of each stage until now."""
        self.enter(self._stage)
        return dict(self._seconds)

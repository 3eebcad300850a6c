"""What the demonstration says while it works: one line with a bar for each step."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_WIDTH_WITHOUT_TERMINAL = 120


class Step:
    """One step under way."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self) -> None:
        """One more of the total is done."""
        self._progress.advance(self._task)

    def at(self, done: float, total: float, doing: str = "") -> None:
        """So much of so much is done, and what is being done now."""
        self._progress.update(self._task, completed=done, total=total, doing=doing)

    def wait(self, doing: str) -> None:
        """Something is under way of which nobody knows how long it takes."""
        self._progress.update(self._task, total=None, doing=doing)


class Screen:
    """The console, and the time that each step took."""

    def __init__(self) -> None:
        console = Console(highlight=False)
        self.console = console if console.is_terminal else Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
        self.timings_s: dict[str, float] = {}

    def say(self, text: str) -> None:
        """A line of plain words."""
        self.console.print(text)

    @contextlib.contextmanager
    def step(self, title: str, key: str, total: float | None = None) -> Iterator[Step]:
        """A line with a bar; its time is kept under ``key``."""
        started = time.monotonic()
        columns = (
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[doing]}"),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(f"{title:<51}", total=total, doing="")
            yield Step(progress, task)
            progress.update(task, total=1, completed=1, doing="")
        self.timings_s[key] = round(time.monotonic() - started, 2)

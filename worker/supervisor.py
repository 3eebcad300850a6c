"""Keeps child processes alive: starts them, starts again what died, and ends them in order."""

import contextlib
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from worker.bound import bound_command

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_STEADY_AFTER_S = 30.0
_KEEP_LOG_BYTES = 10 << 20

log = structlog.get_logger()


@dataclass(frozen=True)
class Program:
    """What to run and how to end it: ``patience_s`` is the time between SIGTERM and SIGKILL."""

    name: str
    command: list[str]
    log: Path
    environment: Mapping[str, str]
    patience_s: float
    standard_input: str | None = None
    descriptors: tuple[int, ...] = ()


@dataclass
class Child:
    """A program and the process that runs it now."""

    program: Program
    _process: "subprocess.Popen[str] | None" = None
    _started: float = 0.0
    _pause_s: float = _FIRST_PAUSE_S
    _start_again: float | None = field(default=None)

    def start(self) -> None:
        """Start the program, bound to this process, its output going to its log."""
        program = self.program
        _rotate(program.log)
        with program.log.open("a") as output:
            self._process = subprocess.Popen(  # noqa: S603 - commands come from the launcher alone
                bound_command(program.command),
                env=dict(program.environment),
                stdin=subprocess.PIPE if program.standard_input is not None else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=program.descriptors,
                start_new_session=True,  # Ctrl-C in a terminal is for the launcher, which ends all in order
                text=True,
            )
        if program.standard_input is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(program.standard_input)
                self._process.stdin.close()
        self._started, self._start_again = time.monotonic(), None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def look_after(self) -> None:
        """Start the program again when it has died, after a pause that grows while it keeps dying."""
        now = time.monotonic()
        if self.alive or self._process is None:
            return
        if self._start_again is None:
            if now - self._started > _STEADY_AFTER_S:
                self._pause_s = _FIRST_PAUSE_S
            log.warning(
                f"{self.program.name} died",
                exit=self._process.returncode,
                again_in_s=self._pause_s,
                log=str(self.program.log),
            )
            self._start_again = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        elif now >= self._start_again:
            self.start()

    def stop(self) -> None:
        """End the program: politely, then not."""
        if self._process is None or not self.alive:
            return
        self._process.terminate()
        try:
            self._process.wait(self.program.patience_s)
        except subprocess.TimeoutExpired:
            log.warning(f"{self.program.name} did not end in time and is killed")
            self._process.kill()
            self._process.wait()

    def last_words(self, lines: int = 12) -> str:
        """The end of the program's log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.program.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


def _rotate(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _KEEP_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))

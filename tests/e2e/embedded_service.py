"""``rigfuse up`` as a process of its own, and ways to hurt it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.client import RigFuseClient

ROOT = Path(__file__).parents[2]


class RunningService:
    """A service on a data directory; ``up()`` waits until it says that it is ready."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.url = ""
        self.command, self.folder = [sys.executable, "-m", "app.cli"], ROOT
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")},
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []

    def up(self, within_s: float = 60) -> "RunningService":
        """Start everything; raises with what was said when it does not become ready."""
        command = [*self.command, "up", "--data-dir", str(self.data_dir), "--port", "0"]
        self._said.clear()
        self._process = subprocess.Popen(
            command, cwd=self.folder, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        wait_until(lambda: bool(self._ready_line()) or self.exited is not None, within_s)
        if not self._ready_line():
            raise AssertionError("rigfuse up is not ready:\n" + self.said)
        self.url = self._ready_line().removeprefix("ready ")
        return self

    @property
    def said(self) -> str:
        """What the launcher wrote."""
        return "\n".join(self._said)

    @property
    def exited(self) -> int | None:
        """The launcher's exit status, when it has ended."""
        return None if self._process is None else self._process.poll()

    @property
    def launcher(self) -> int:
        """The launcher's process id."""
        assert self._process is not None
        return self._process.pid

    def client(self, api_key: str | None = None) -> RigFuseClient:
        """A client of this service."""
        return RigFuseClient(self.url, api_key=api_key)

    def child(self, what: str) -> int:
        """The process id of ``-m worker``, ``app.cli api`` or ``valkey-server``."""
        return next(pid for pid, command in self.processes().items() if what in command)

    def processes(self) -> dict[int, str]:
        """All living processes that belong to this data directory, the launcher too."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if not folder.name.isdecimal() or (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    continue
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                output = (folder / "fd/1").readlink()
            except OSError:  # it ended while we looked
                continue
            if output.is_relative_to(self.data_dir) or f"--data-dir {self.data_dir} " in command:
                found[int(folder.name)] = command
        return found

    def kill(self, what: str) -> None:
        """``kill -9`` one child."""
        os.kill(self.child(what), signal.SIGKILL)

    def kill_everything(self) -> None:
        """``kill -9`` all of it at once, as a power cut would."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._wait()
        wait_until(lambda: not self.processes(), within_s=10)  # a killed process takes a moment to let go

    def kill_launcher(self) -> None:
        """``kill -9`` the launcher alone."""
        os.kill(self.launcher, signal.SIGKILL)
        self._wait()

    def down(self, within_s: float = 40) -> int:
        """SIGTERM, and the launcher's exit status."""
        if self.exited is None:
            os.kill(self.launcher, signal.SIGTERM)
        return self._wait(within_s)

    def _wait(self, within_s: float = 40) -> int:
        assert self._process is not None
        return self._process.wait(within_s)

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._said.append(line.rstrip())

    def _ready_line(self) -> str:
        return next((line for line in self._said if line.startswith("ready ")), "")


def wait_until(condition: Callable[[], bool], within_s: float) -> None:
    """Wait for a condition; raises when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come true within {within_s:.0f} s")
        time.sleep(0.05)

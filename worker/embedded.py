"""Everything on one machine: ``python -m worker.embedded`` is what ``rigfuse up`` becomes.

The launcher holds the data directory's lock and the listening socket, migrates the database, and looks after three
children: the broker from a wheel, a worker, and the API. They are the processes that production runs, and none of them
outlives the launcher, however it ends.
"""

import argparse
import os
import signal
import socket
import time
from pathlib import Path
from typing import TextIO, cast

import httpx
import structlog

from app.access.keyring import KeyRing
from app.artifact_stores import open_artifacts
from app.artifacts import ArtifactStore
from app.db import Database
from app.doors import one_sentence
from app.observability import LogStream
from app.operate import BROKER_FILE
from app.processes import python_module
from app.queue import JobQueue
from app.settings import Settings
from app.uploads import forget_abandoned
from worker.broker import BrokerMissing, EmbeddedBroker
from worker.holdings import CannotStart, listening, locked, write_private
from worker.supervisor import Child, Program

_READY_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.2
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = structlog.get_logger()


class Stopped(Exception):
    """A signal asked the launcher to end."""


def main() -> None:
    """Run until a signal; exit with one sentence where that is not possible."""
    parser = argparse.ArgumentParser(prog="rigfuse up")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LogStream("stderr"))))
    with one_sentence(CannotStart, BrokerMissing):
        run(arguments.data_dir.expanduser().resolve(), arguments.host, arguments.port)


def run(data_dir: Path, host: str, port: int) -> None:
    """Start everything, keep it running, and end it in order when asked to."""
    for number in _ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup is to be honoured
            signal.signal(number, _stop)
    children: list[Child] = []
    with locked(data_dir), listening(host, port) as listener:
        try:
            _serve(children, data_dir, listener)
        except Stopped:
            log.info("stopping")
        finally:
            for child in reversed(children):
                child.stop()


def _serve(children: list[Child], data_dir: Path, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    settings = Settings(environment="embedded", data_dir=data_dir, host=host, port=port)
    database = Database(settings.database_url)
    database.upgrade()
    KeyRing(settings, database).check_start()  # says that no keys are needed, or refuses before anything is started
    database.dispose()
    environment = _environment(settings)
    if "broker_url" not in settings.model_fields_set:
        broker = EmbeddedBroker.choose()
        environment["RIGFUSE_BROKER_URL"] = broker.url
        write_private(data_dir / BROKER_FILE, broker.url)
        _begin(children, _broker(broker, data_dir, environment))
    _await_broker(children, environment["RIGFUSE_BROKER_URL"])
    _forget_half_done(settings)
    _begin(children, _python("worker", python_module("worker"), data_dir, environment, 20))
    command = python_module("app.cli", "api", "--fd", str(listener.fileno()))
    patience_s = settings.drain_s + 10
    _begin(children, _python("api", command, data_dir, environment, patience_s, descriptors=(listener.fileno(),)))
    _await_ready(children, f"http://{_reachable(host)}:{port}/readyz")
    print(f"ready http://{_in_url(host)}:{port}", flush=True)  # noqa: T201 - the line that callers wait for
    while True:
        for child in children:
            child.look_after()
        time.sleep(_LOOK_EVERY_S)


def _forget_half_done(settings: Settings) -> None:
    """Remove what a power cut left of requests half-way: nothing else works in this data directory."""
    forget_abandoned(settings, after_s=-1.0)  # but what can be gone on with
    store = open_artifacts(settings)
    # One that lies elsewhere may have other users.
    if isinstance(store, ArtifactStore) and store.root.is_relative_to(settings.data_dir):
        store.forget_incoming()


def _environment(settings: Settings) -> dict[str, str]:
    chosen = {
        "RIGFUSE_ENVIRONMENT": settings.environment,
        "RIGFUSE_DATA_DIR": str(settings.data_dir),
        "RIGFUSE_HOST": settings.host,
        "RIGFUSE_PORT": str(settings.port),
        "RIGFUSE_BROKER_URL": settings.broker_url,
        "PYTHONUNBUFFERED": "1",  # so that a log's last lines are there when its process is killed
    }
    defaults = {
        # On one machine a dead worker is noticed at once; the lease only has to cover one that hangs.
        "RIGFUSE_LEASE_S": "30",
        "RIGFUSE_HEARTBEAT_S": "5",
        "RIGFUSE_SWEEP_S": "2",
        # The API and the worker share the cores: a thread that spins while it waits takes them from the other.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return {**defaults, **os.environ, **chosen}


def _broker(broker: EmbeddedBroker, data_dir: Path, environment: dict[str, str]) -> Program:
    return Program(
        name="broker",
        command=broker.command,
        log=data_dir / "logs/broker.log",
        environment=environment,
        patience_s=5,
        standard_input=broker.configuration,
    )


def _python(
    name: str,
    command: list[str],
    data_dir: Path,
    environment: dict[str, str],
    patience_s: float,
    *,
    descriptors: tuple[int, ...] = (),
) -> Program:
    log_file = data_dir / f"logs/{name}.log"
    return Program(name, command, log_file, environment, patience_s, descriptors=descriptors)


def _begin(children: list[Child], program: Program) -> None:
    log.info(f"starting {program.name}", log=str(program.log))
    child = Child(program)
    children.append(child)
    child.start()


def _await_broker(children: list[Child], url: str) -> None:
    queue = JobQueue(url)
    deadline = time.monotonic() + 15
    while True:
        try:
            queue.ping()
        except Exception as error:  # kombu and redis each have their own tree of errors
            _check_alive(children)
            if time.monotonic() > deadline:
                raise CannotStart(f"the broker does not answer: {error}") from error
            time.sleep(0.05)
        else:
            return queue.close()


def _await_ready(children: list[Child], url: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    problem = "it did not answer"
    while time.monotonic() < deadline:
        _check_alive(children)
        try:
            answer = httpx.get(url, timeout=5, trust_env=False)
        except httpx.TransportError as error:
            problem = str(error)
        else:
            if answer.is_success:
                return
            problem = answer.text
        time.sleep(_LOOK_EVERY_S)
    raise CannotStart(f"the service is not ready after {_READY_WITHIN_S:.0f} s: {problem}")


def _check_alive(children: list[Child]) -> None:
    for child in children:
        if not child.alive:
            name, path = child.program.name, child.program.log
            raise CannotStart(f"the {name} ended at its start; the end of {path}:\n{child.last_words()}")


def _reachable(host: str) -> str:
    """An address under which this machine reaches a server that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, _in_url(host))  # noqa: S104 - compared, not bound


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _stop(number: int, _frame: object) -> None:
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)  # the end is on its way: a second signal must not stop it half-way
    raise Stopped(signal.Signals(number).name)


if __name__ == "__main__":
    main()

"""Start the whole service as anybody would, ``rigfuse up`` in a process of its own, and end it in order."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import app
from app.demo.errors import DemoFailed

_READY_S = 150.0
_STOP_S = 30.0
_KEPT = ("RIGFUSE_DEVICE", "RIGFUSE_THREADS", "RIGFUSE_BACKBONE_MANIFEST")


@contextlib.contextmanager
def running_service(data_dir: Path) -> Iterator[str]:
    """The URL of a service with its data in ``data_dir``, which ends with the context. Raises DemoFailed."""
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "app.cli", "up", "--data-dir", str(data_dir), "--port", "0"]
    log = data_dir / "demo-service.log"
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, fixed arguments
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment()
        )
        try:
            yield _await_ready(process, log)
        finally:
            _stop(process)


def _environment() -> dict[str, str]:
    """The environment without settings that would lead the demonstration into somebody's real service."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RIGFUSE_") or k in _KEPT}
    root = str(Path(app.__file__).resolve().parents[1])
    paths = [root, *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def _await_ready(process: "subprocess.Popen[str]", log: Path) -> str:
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    try:
        while (line := lines.get(timeout=_READY_S)) is not None:
            if line.startswith("ready "):
                return line.removeprefix("ready ").strip()
    except queue.Empty:
        raise DemoFailed(f"The service was not ready within {_READY_S:.0f} s. Its log is {log}.") from None
    process.wait()
    said = "\n".join(f"  {text}" for text in log.read_text(errors="replace").splitlines()[-5:])
    raise DemoFailed(f"The service did not start. It said:\n{said}\nIts logs are in {log.parent}.")


def _read(process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str | None]") -> None:
    """Hand on what the service prints, to its very end, so that its pipe never fills."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    with process.stdout as output:
        for line in output:
            lines.put(line)
    lines.put(None)


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

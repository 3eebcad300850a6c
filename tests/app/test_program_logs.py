"""What the programs write, from their first line to their last, is one JSON object a line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[2]


def lines_of(command: list[str], folder: Path, until: str, **environment: str) -> list[dict[str, Any]]:
    """Run a program until its log has the words ``until``, stop it with SIGTERM, and parse every line it wrote."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", *command], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
            env={**variables, "RIGFUSE_DATA_DIR": str(folder), "RIGFUSE_ENVIRONMENT": "embedded", **environment},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while until not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize(
    ("command", "ready", "words"),
    [
        (["api", "--port", "0"], "Uvicorn running", {"Started server process", "Shutting down"}),
        (["worker"], " ready.", {"Connected to redis", "Warm shutdown"}),
    ],
)
def test_every_line_is_json(
    command: list[str],
    ready: str,
    words: set[str],
    redis_url: str,
    tmp_path: Path,
    make_settings: Callable[..., Settings],
) -> None:
    make_settings(data_dir=tmp_path)  # which puts a database there
    lines = lines_of(command, tmp_path, ready, RIGFUSE_BROKER_URL=redis_url)
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    for word in words:  # the libraries' own lines are among them
        assert any(word in line["event"] for line in lines), lines


def test_a_failure_that_a_library_logs_is_one_line_too() -> None:
    program = (
        "import logging, warnings; from app.observability import configure_standard_logging as c; c('json')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: logging.getLogger('uvicorn.error').exception('it %s', 'failed')\n"
        "warnings.warn('old', stacklevel=1)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    failure, warning = (json.loads(line) for line in done.stdout.splitlines())
    assert (failure["event"], failure["level"], failure["logger"]) == ("it failed", "error", "uvicorn.error")
    assert "ZeroDivisionError" in failure["exception"]
    assert "old" in warning["event"]
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    program = (
        "import structlog, logging, sys; from app import observability as o\n"
        "o.configure_logging('json'); o.configure_standard_logging('json')\n"
        "for _ in range(2000): structlog.get_logger().info('as long as a line is'); logging.getLogger('x').info('so')\n"
        "sys.stderr.write('done'); sys.stderr.flush(); import os; os._exit(0)"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr.rpartition("\n")[2]) == (0, "done")

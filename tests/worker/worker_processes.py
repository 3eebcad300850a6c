"""``python -m worker`` as processes of their own, on a context's database and broker."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from worker.context import WorkerContext

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def workers(context: WorkerContext, count: int, **environment: str) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Real workers; they are told to end afterwards, and have to."""
    settings = context.settings
    told = {
        **{key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")},
        "OMP_NUM_THREADS": "1",
        "RIGFUSE_THREADS": "1",
        "RIGFUSE_DATA_DIR": str(settings.data_dir),
        "RIGFUSE_DATABASE_URL": settings.database_url,
        "RIGFUSE_BROKER_URL": settings.broker_url,
        "RIGFUSE_HEARTBEAT_S": "0.2",
        "RIGFUSE_SWEEP_S": "0.3",
        "RIGFUSE_LEASE_S": "5",
        **environment,
    }
    with contextlib.ExitStack() as stack:
        running = []
        for number in range(count):
            log = stack.enter_context((settings.data_dir / f"worker-{number}.log").open("wb"))
            command = [sys.executable, "-m", "worker"]
            running.append(subprocess.Popen(command, cwd=ROOT, env=told, stdout=log, stderr=subprocess.STDOUT))
        try:
            yield running
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(60)


def wait_until(condition: Callable[[], bool], within_s: float = 200) -> None:
    """Wait for a condition; raises when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {within_s:.0f} s"
        time.sleep(0.05)

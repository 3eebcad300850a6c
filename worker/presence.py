"""A worker says that it is there: which process and device it is, what memory is free, what it works on."""

import os
import platform
import threading
from datetime import datetime

import structlog
import torch

from app.processes import usable_cores
from app.store_identity import store_identity
from app.tables import WorkerRow, utc_now
from app.workers import repository
from models.checkpoint import CODE_VERSION
from worker.context import WorkerContext
from worker.memory import device_memory

log = structlog.get_logger()


class Presence(threading.Thread):
    """Reports every ``heartbeat_s``, idle or not, until the worker has ended."""

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(name="presence", daemon=True)
        self._context = context
        self._over = threading.Event()
        self._started_at = utc_now()

    def run(self) -> None:
        """Report, wait, and again."""
        while not self._over.is_set():
            try:
                report(self._context, self._started_at)
            except Exception as error:  # such as a database that restarts; the next report tells
                log.warning("the worker was not reported", error=str(error))
            self._over.wait(self._context.settings.heartbeat_s)

    def end(self) -> None:
        """Say goodbye."""
        self._over.set()
        if self.is_alive():
            self.join(self._context.settings.heartbeat_s)
        try:
            with self._context.db.session() as session:
                repository.stopped(session, self._context.owner)
        except Exception as error:  # nothing hangs on it: the row grows old
            log.warning("the worker's end was not reported", error=str(error))


def report(context: WorkerContext, started_at: datetime) -> None:
    """Write this worker's row."""
    settings = context.settings
    memory = device_memory(settings.device, settings.worker_memory)
    row = WorkerRow(
        id=context.owner,
        host=platform.node()[:200],
        pid=os.getpid(),
        version=CODE_VERSION,
        device=_device(settings.device),
        memory_total=memory.total,
        memory_free=memory.free,
        store=store_identity(settings),
        adaptation_id=context.busy.adaptation_id,
        started_at=started_at,
        stopped_at=None,
    )
    with context.db.session() as session:
        repository.report(session, row)


def _device(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()[:200]
    return f"cpu, {usable_cores()} cores"

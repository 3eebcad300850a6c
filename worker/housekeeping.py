"""Applies what is kept and for how long (app.retention): now and then, in every worker, beside everything else."""

import random
import threading

import structlog

from app.retention import sweep
from worker.context import WorkerContext

_FIRST_AFTER_S = 5.0
_SPREAD = 0.2  # so that workers which started together do not all look at the same time

log = structlog.get_logger()


class Housekeeper(threading.Thread):
    """Sweeps in the background until the worker stops."""

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(name="housekeeper", daemon=True)
        self._context = context

    def run(self) -> None:
        """Sweep, wait, and again."""
        settings = self._context.settings
        pause = min(_FIRST_AFTER_S, settings.housekeeping_s)
        while not self._context.stopping.wait(pause):
            try:
                sweep(self._context.db, self._context.artifacts, settings)
            except Exception:  # whatever it was, such as a store that is away, the next sweep tries again
                log.exception("housekeeping failed")
            pause = settings.housekeeping_s * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 -- no secret

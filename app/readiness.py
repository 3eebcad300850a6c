"""Whether each part that serving needs answers: all are asked at once, and none may hold the others up.

A silent host can hold a thread for as long as its driver is patient. So every part has one thread of its own: while it
waits no second question is asked, however often a load balancer comes, and the answer is that there is none.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import structlog
from fastapi import FastAPI

from app.errors import ServiceUnavailable
from app.redaction import redacted
from app.revisions import check_schema
from models.errors import RigFuseError
from models.weights import load_omega

WITHIN_S = 2.0

log = structlog.get_logger(__name__)


class Part:
    """One part and the thread that asks it."""

    def __init__(self, name: str, check: Callable[[], object]) -> None:
        self.name, self._check = name, check
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"ready-{name}")
        self._asking: Future[object] | None = None

    def close(self) -> None:
        """Let go of the thread, when it is done."""
        self._thread.shutdown(wait=False)

    async def fault(self, within_s: float) -> str | None:
        """Why the part does not answer; None where it does."""
        if self._asking is None or self._asking.done():
            self._asking = self._thread.submit(self._check)
        asking = asyncio.wrap_future(self._asking)
        answered, _ = await asyncio.wait([asking], timeout=within_s)
        if not answered:
            asking.add_done_callback(asyncio.Future.exception)  # or asyncio complains that nobody heard it
            return f"no answer within {within_s:g} s"
        error = answered.pop().exception()
        if error is None:
            return None
        log.warning("not_ready", part=self.name, error=repr(error))
        return error.message if isinstance(error, RigFuseError) else type(error).__name__


class Readiness:
    """All parts of one API process."""

    def __init__(self, checks: Mapping[str, Callable[[], object]], within_s: float = WITHIN_S) -> None:
        self._parts = [Part(name, check) for name, check in checks.items()]
        self._within_s = within_s

    @property
    def parts(self) -> list[str]:
        """The names of the parts that are asked."""
        return [part.name for part in self._parts]

    def close(self) -> None:
        """Ask no more."""
        for part in self._parts:
            part.close()

    async def faults(self) -> dict[str, str]:
        """The parts that do not answer, and why."""
        found = await asyncio.gather(*(part.fault(self._within_s) for part in self._parts))
        return {part.name: redacted(fault) for part, fault in zip(self._parts, found, strict=True) if fault}


def of_application(app: FastAPI) -> Readiness:
    """What the API of ``app`` needs."""
    state = app.state

    def check_weights() -> None:
        if state.backbone is None:
            raise ServiceUnavailable("the backbone is not loaded yet")
        load_omega()  # verified against its digest

    def check_disk() -> None:
        for folder in {state.settings.data_dir, getattr(state.artifacts, "root", state.settings.data_dir)}:
            check_free(folder, state.settings.min_free_bytes)

    return Readiness(
        {
            "database": state.db.ping,
            "schema": lambda: check_schema(state.db),
            "broker": state.queue.ping,
            "artifacts": state.artifacts.check_writable,
            "disk": check_disk,
            "weights": check_weights,
        }
    )


def check_free(folder: Path, least: int) -> None:
    """Raise where the disk of ``folder`` has less than ``least`` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < least:
        raise ServiceUnavailable(f"{free >> 20} MiB free, {least >> 20} MiB wanted")

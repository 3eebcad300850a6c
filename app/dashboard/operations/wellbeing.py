"""What asks more than the database: parts that may not answer, disks, the doctor's findings; asked now and then.

However many people look at the page, and however often it is made anew, the parts are asked once in some seconds.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar
from urllib.parse import urlsplit

from anyio import from_thread
from fastapi import FastAPI

from app.doctor import configuration, work
from app.doctor.examine import REMEDIES
from app.doctor.findings import Check, Finding, Mark, Patient, bad, good, look
from app.revisions import known_revisions, revision_of
from app.settings import Settings

T = TypeVar("T")
ASKED_EVERY_S = 5.0
_TIGHT = 8
"""Disks with less than so many times the least are told of before they refuse anything."""
_CHECKS: Sequence[tuple[str, Check]] = (
    ("workers", work.check_workers),
    ("leases", work.check_leases),
    ("keys", configuration.check_keys),
    ("network", configuration.check_network),
    ("ulimits", configuration.check_files),
    ("memory", configuration.check_memory),
)


@dataclass(frozen=True)
class Disk:
    """A disk that this process writes to."""

    what: str
    folder: str
    free: int
    total: int
    least: int

    @property
    def mark(self) -> Mark:
        """Whether what needs room is refused (507), or soon will be."""
        if self.free < self.least:
            return Mark.BAD
        return Mark.WARNING if self.free < _TIGHT * self.least else Mark.GOOD


@dataclass(frozen=True)
class Wellbeing:
    """What was found at one moment."""

    findings: Sequence[Finding]
    disks: Sequence[Disk]
    schema: str
    messages: int | None
    """That lie in the broker; None where it does not answer."""

    @property
    def faults(self) -> list[Finding]:
        """What is not well, the worst first."""
        found = [finding for finding in self.findings if finding.mark is not Mark.GOOD]
        return sorted(found, key=lambda finding: finding.mark is Mark.WARNING)


class Watch:
    """Asks, and remembers the answer for a while."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self._lock = app, Lock()
        self._known: tuple[float, Wellbeing] | None = None

    def read(self) -> Wellbeing:
        """What is known; from a thread of the application's own."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > ASKED_EVERY_S:
                found = examine(self._app)
                self._known = time.monotonic(), found
            return self._known[1]


def examine(app: FastAPI) -> Wellbeing:
    """Ask all parts, none of which may hold the page up for long."""
    state = app.state
    faults: dict[str, str] = from_thread.run(state.readiness.faults)
    found = [bad(part, _told(fault), REMEDIES.get(part, "")) for part, fault in faults.items()]
    found += [good(part, "answers") for part in state.readiness.parts if part not in faults]
    patient = _patient(app)
    checks = [] if "database" in faults else list(_CHECKS)
    if not {"database", "broker"} & faults.keys():
        checks.append(("queue", work.check_queue))
    for name, check in checks:
        found += look(name, check, patient, REMEDIES.get(name, ""))
    return Wellbeing(
        findings=found,
        disks=list(disks(state.settings)),
        schema=_or("unknown", lambda: revision_of(state.db) or "empty") if "database" not in faults else "unknown",
        messages=None if "broker" in faults else _or(None, state.queue.waiting),
    )


def disks(settings: Settings) -> Iterator[Disk]:
    """The disks of data and of a local artifact store, each once."""
    folders = {"Data": settings.data_dir}
    store = urlsplit(settings.artifacts_url)
    if store.scheme == "file":
        folders["Artifacts"] = Path(store.path)
    seen = set()
    for what, folder in folders.items():
        there = next(place for place in (folder, *folder.parents) if place.exists())
        device = there.stat().st_dev
        if device not in seen:
            seen.add(device)
            usage = shutil.disk_usage(there)
            yield Disk(what, str(folder), usage.free, usage.total, settings.min_free_bytes)


def newest_schema() -> str:
    """The revision that this program is made for."""
    return known_revisions()[0]


def _told(fault: str) -> str:
    return f"does not answer ({fault})" if fault.isidentifier() else fault


def _patient(app: FastAPI) -> Patient:
    patient = Patient(app.state.settings)
    patient.__dict__ |= {"database": app.state.db, "queue": app.state.queue, "artifacts": app.state.artifacts}
    return patient


def _or(otherwise: T, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except Exception:  # whatever a driver raises: the page says that it is not known
        return otherwise

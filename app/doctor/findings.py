"""What a check finds, and a check itself: a function that answers findings and may fail in any way."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from app.artifact_stores import open_artifacts
from app.artifacts import Artifacts
from app.db import Database
from app.queue import JobQueue
from app.redaction import redacted
from app.settings import Settings
from models.errors import RigFuseError


class Mark(StrEnum):
    """How a check ended."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """One line of the table; ``do`` tells what to do about it."""

    check: str
    mark: Mark
    told: str
    do: str = ""


@dataclass
class Patient:
    """The deployment as its settings name it; each part is opened when a check first needs it."""

    settings: Settings
    deep: bool = False
    url: str | None = None
    api_key: str | None = None

    @cached_property
    def database(self) -> Database:
        """The database."""
        return Database(self.settings.database_url)

    @cached_property
    def queue(self) -> JobQueue:
        """The broker's queues."""
        return JobQueue(self.settings.broker_url)

    @cached_property
    def artifacts(self) -> Artifacts:
        """The artifact store."""
        return open_artifacts(self.settings, make=False)

    def close(self) -> None:
        """Let go of what was opened."""
        if "database" in self.__dict__:
            self.database.dispose()
        if "queue" in self.__dict__:
            self.queue.close()


Check = Callable[[Patient], Iterable[Finding]]


def good(check: str, told: str) -> Finding:
    """All is well."""
    return Finding(check, Mark.GOOD, told)


def warning(check: str, told: str, do: str) -> Finding:
    """It works, and should not stay so."""
    return Finding(check, Mark.WARNING, told, do)


def bad(check: str, told: str, do: str) -> Finding:
    """It does not work."""
    return Finding(check, Mark.BAD, told, do)


def look(name: str, check: Check, patient: Patient, do: str) -> list[Finding]:
    """What a check finds; where it fails, that is what it found, and ``do`` what to do."""
    try:
        return list(check(patient))
    except RigFuseError as error:
        return [bad(name, redacted(error.message), do)]
    except Exception as error:  # whatever a driver raises is what an operator wants to read
        first = redacted(str(error)).partition("\n")[0]
        return [bad(name, f"{type(error).__name__}: {first}"[:300], do)]

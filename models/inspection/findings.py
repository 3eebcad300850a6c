"""What an inspection finds, in words for a person, and the change that would mend it, as a machine can apply it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """``error``: it is refused, or nothing can come of it. ``warning``: look at it. ``hint``: it could be better."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True)
class Edit:
    """One member of the document that gets another value; ``path`` is a JSON pointer (RFC 6901)."""

    path: str
    value: Any


@dataclass(frozen=True)
class Change:
    """What would mend a finding: ``label`` says it on a button, ``edits`` do it to the document."""

    label: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong. ``cameras`` are places in the document's list; ``at`` is the field, if any."""

    severity: Severity
    code: str
    sentence: str
    cameras: tuple[int, ...] = ()
    at: str | None = None
    change: Change | None = field(default=None)


def error(code: str, sentence: str, **where: Any) -> Finding:
    """It is refused, or nothing can come of it."""
    return _finding(Severity.ERROR, code, sentence, **where)


def warning(code: str, sentence: str, **where: Any) -> Finding:
    """It looks wrong."""
    return _finding(Severity.WARNING, code, sentence, **where)


def hint(code: str, sentence: str, **where: Any) -> Finding:
    """It could be better."""
    return _finding(Severity.HINT, code, sentence, **where)


def _finding(severity: Severity, code: str, sentence: str, *, cameras: Iterable[int] = (), **rest: Any) -> Finding:
    return Finding(severity, code, sentence, tuple(int(index) for index in cameras), **rest)


def replaced(label: str, values: dict[str, Any]) -> Change:
    """A change that sets members, named by their JSON pointers."""
    return Change(label, tuple(Edit(path, value) for path, value in values.items()))

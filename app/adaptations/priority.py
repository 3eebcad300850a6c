"""Which jobs run first."""

from enum import StrEnum


class Priority(StrEnum):
    """Which jobs run first: those that a person waits for."""

    INTERACTIVE = "interactive"
    BATCH = "batch"

"""What a worker process works with, put together once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import structlog

from app.artifact_stores import open_artifacts
from app.artifacts import Artifacts
from app.db import Database
from app.errors import ServiceUnavailable
from app.queue import JobQueue
from app.settings import Settings
from models.adaptation import adapt
from models.backbone import Backbone
from models.checkpoint import Checkpoint
from worker.identity import own_identity
from worker.watch import Watch

log = structlog.get_logger()
Engine = Callable[..., Checkpoint]
"""``models.adaptation.adapt``, or another with its signature."""


@dataclass
class Busy:
    """What the process is at, for its report; the engine's thread writes it and another one reads."""

    adaptation_id: str | None = None


@dataclass(frozen=True)
class WorkerContext:
    """The stores, the queue, this process's name, and the wish to stop."""

    settings: Settings
    db: Database
    artifacts: Artifacts
    queue: JobQueue
    engine: Engine = adapt
    owner: str = field(default_factory=own_identity)
    stopping: threading.Event = field(default_factory=threading.Event)
    busy: Busy = field(default_factory=Busy)
    watch: Watch = field(default_factory=Watch)
    parts_watch: Watch = field(default_factory=Watch)

    @classmethod
    def from_settings(cls, settings: Settings) -> "WorkerContext":
        """Connect to what the settings name."""
        return cls(
            settings=settings,
            db=Database(settings.database_url),
            artifacts=open_artifacts(settings),
            queue=JobQueue(settings.broker_url),
        )

    def has_store(self) -> bool:
        """Whether the artifact store answers; while it does not, no work is begun that could only fail."""
        try:
            self.artifacts.holds("0" * 64)  # any name will do
        except ServiceUnavailable as error:
            log.warning("no work is begun", detail=error.message)
            return False
        return True

    @contextmanager
    def working_on(self, adaptation_id: str) -> Iterator[None]:
        """Say what this process is at while the block runs."""
        self.busy.adaptation_id = adaptation_id
        try:
            yield
        finally:
            self.busy.adaptation_id = None

    @cached_property
    def backbone(self) -> Backbone:
        """The network that turns images into heatmaps, loaded when a capture of images first needs it."""
        settings = self.settings
        return Backbone.load(settings.backbone_manifest, device=settings.device, threads=settings.threads)

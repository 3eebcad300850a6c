"""What a worker process works with, put together once."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from app.artifacts import ArtifactStore
from app.db import Database
from app.queue import JobQueue
from app.settings import Settings
from models.adaptation import adapt
from models.backbone import Backbone
from models.checkpoint import Checkpoint
from worker.identity import own_identity

Engine = Callable[..., Checkpoint]
"""``models.adaptation.adapt``, or another with its signature."""


@dataclass(frozen=True)
class WorkerContext:
    """The stores, the queue, this process's name, and the wish to stop."""

    settings: Settings
    db: Database
    artifacts: ArtifactStore
    queue: JobQueue
    engine: Engine = adapt
    owner: str = field(default_factory=own_identity)
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def from_settings(cls, settings: Settings) -> "WorkerContext":
        """Connect to what the settings name."""
        return cls(
            settings=settings,
            db=Database(settings.database_url),
            artifacts=ArtifactStore(settings.artifacts_url),
            queue=JobQueue(settings.broker_url),
        )

    @cached_property
    def backbone(self) -> Backbone:
        """The network that turns images into heatmaps, loaded when a capture of images first needs it."""
        settings = self.settings
        return Backbone.load(settings.backbone_manifest, device=settings.device, threads=settings.threads)

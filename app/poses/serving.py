"""What a process needs to serve poses, for as long as it lives."""

from app.artifacts import Artifacts
from app.db import Database
from app.poses.admission import Admission
from app.poses.attendant import Attendant
from app.poses.batching import Batcher
from app.poses.engines import Engines
from app.request_frames.keeper import Keeper
from app.rigs.cache import RigCache
from app.settings import Settings


class Serving:
    """Loaded engines, turns to compute, who may come in, what looks after all of it, and what keeps frames."""

    def __init__(self, settings: Settings, database: Database, artifacts: Artifacts, rigs: RigCache) -> None:
        self.engines = Engines(artifacts, settings.engine_cache, settings.engine_cache_bytes)
        self.batcher = Batcher(settings.pose_concurrency, settings.pose_batch)
        self.admission = Admission(settings)
        self.keeper = Keeper(settings, artifacts)
        self.attendant = Attendant(database, rigs, self.engines, settings)

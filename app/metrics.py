"""What Prometheus may read of this process; what the database tells of all of them is in app.fleet_metrics."""

from collections.abc import Callable
from pathlib import Path
from platform import python_version
from shutil import disk_usage

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.pool import QueuePool

from app.db import Database
from app.fleet_metrics import FleetCollector
from models.checkpoint import CODE_VERSION

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, *_SECONDS)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self, database: Database) -> None:
        self._registry = registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}
        labels = ("method", "route", "status")
        self._requests = Counter("rigfuse_requests", "HTTP requests", labels, registry=registry)
        self._latency = Histogram(
            "rigfuse_request_seconds", "Time to answer", ("route",), registry=registry, buckets=_SECONDS
        )
        self.pose_frames = Counter("rigfuse_pose_frames", "Frames served", ("mode",), registry=registry)
        self.pose_stage = Histogram(
            "rigfuse_pose_stage_seconds",
            "Time of a pose request in each stage",
            ("stage",),
            registry=registry,
            buckets=_STAGE_SECONDS,
        )
        self.refusals = Counter("rigfuse_refusals", "Requests answered 429 or 503", ("code",), registry=registry)
        self.live_connections = Gauge("rigfuse_live_connections", "WebSockets with live frames", registry=registry)
        self.live_frames = Counter("rigfuse_live_frames", "Live frames by outcome", ("outcome",), registry=registry)
        self.key_refusals = Counter(
            "rigfuse_key_refusals", "Requests refused because a key had used up its rate or quota", ("limit",),
            registry=registry,
        )  # fmt: skip
        self._watch_pool(database)
        build = {"version": CODE_VERSION, "python": python_version()}
        self._watched("rigfuse_build_info", "This process's program", build).set(1)
        registry.register(FleetCollector(database))

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is the template, never the path with its ids."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def watch_engines(self, count: Callable[[], float], nbytes: Callable[[], float]) -> None:
        """Read the number and the bytes of loaded checkpoints at scrape time."""
        self._watched("rigfuse_engines_loaded", "Checkpoints in memory").set_function(count)
        self._watched("rigfuse_engine_bytes", "Memory that they take").set_function(nbytes)

    def watch_poses(self, waiting: Callable[[], float]) -> None:
        """Read the number of pose requests that wait for a turn at scrape time."""
        self._watched("rigfuse_pose_waiting", "Pose requests that wait for a turn").set_function(waiting)

    def watch_under_way(self, count: Callable[[], float]) -> None:
        """Read the number of requests and WebSockets under way at scrape time."""
        self._watched("rigfuse_under_way", "Requests and WebSockets under way").set_function(count)

    def watch_disk(self, folder: Path, disk: str) -> None:
        """Read the free bytes of a folder's disk at scrape time; a disk that does not tell is not there (NaN)."""

        def free() -> float:
            try:
                return float(disk_usage(folder).free)
            except OSError:
                return float("nan")

        self._watched("rigfuse_disk_free_bytes", "Room left on a disk", {"disk": disk}).set_function(free)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _watch_pool(self, database: Database) -> None:
        pool = database.engine.pool
        if isinstance(pool, QueuePool):
            most = pool.size() + pool._max_overflow
            self._watched("rigfuse_database_connections_max", "Connections there may be").set(most)
            in_use = self._watched("rigfuse_database_connections", "Connections in use")
            in_use.set_function(pool.checkedout)

    def _watched(self, name: str, documentation: str, labels: dict[str, str] | None = None) -> Gauge:
        gauge = self._gauges.get(name) or Gauge(name, documentation, tuple(labels or ()), registry=self._registry)
        self._gauges[name] = gauge
        return gauge.labels(**labels) if labels else gauge

"""What Prometheus may read: requests, pose frames, loaded engines, and jobs by state as the database tells it."""

from collections.abc import Callable, Iterator

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from app.db import Database
from app.tables import AdaptationRow

log = structlog.get_logger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STATES = ("queued", "running", "succeeded", "failed", "cancelled")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("rigfuse_requests", "HTTP requests", labels, registry=self._registry)
        self._latency = Histogram(
            "rigfuse_request_seconds", "Time to answer", ("route",), registry=self._registry, buckets=_SECONDS
        )
        self.pose_frames = Counter("rigfuse_pose_frames", "Frames served", ("mode",), registry=self._registry)
        self._engines = Gauge("rigfuse_engines_loaded", "Checkpoints in memory", registry=self._registry)
        self._registry.register(_JobsByState(database))

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; ``route`` is the template, never the path with its ids."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def watch_engines(self, count: Callable[[], float]) -> None:
        """Read the number of loaded engines at scrape time."""
        self._engines.set_function(count)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _JobsByState(Collector):
    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> list[Metric]:
        return []  # nothing is read while registering: the schema may not be there yet

    def collect(self) -> Iterator[Metric]:
        gauge = GaugeMetricFamily("rigfuse_jobs", "Adaptations by state", labels=["state"])
        try:
            counts = self._count()
        except Exception as error:  # a scrape is most useful when something is down
            log.warning("jobs_not_counted", error=repr(error))
            return
        for state in _STATES:
            gauge.add_metric([state], counts.get(state, 0))
        yield gauge

    def _count(self) -> dict[str, int]:
        with self._database.read_session() as session:
            rows = session.execute(
                select(AdaptationRow.state, func.count().label("jobs")).group_by(AdaptationRow.state)
            )
            return {row.state: row.jobs for row in rows}

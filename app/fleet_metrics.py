"""What the database tells of the whole deployment: the queue, running jobs, workers, and the totals they added to.

Read at scrape time through indexes alone, so that a scrape costs the same however many jobs there ever were. Every API
process answers the same, so alerts take the maximum over them.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import totals
from app.adaptations.parts import PARTS
from app.adaptations.queues import depths
from app.adaptations.states import State
from app.db import Database
from app.tables import AdaptationRow, WorkerRow, utc_now
from app.workers.repository import clock

_FORGOTTEN_AFTER = timedelta(minutes=10)
"""So long a worker that went silent is still told of, for an alert; one that said goodbye is not."""
_COUNTED = {
    totals.ATTEMPTS: ("Attempts at adaptations that ended", "outcome"),
    totals.FAILURES: ("Adaptations that failed", "cause"),
}

log = structlog.get_logger(__name__)


class FleetCollector(Collector):
    """Reads all of it in one short session."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> list[Metric]:
        """Nothing is read while registering: the schema may not be there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics, or but ``rigfuse_database_up 0``: a scrape is most useful when something is down."""
        up = GaugeMetricFamily("rigfuse_database_up", "Whether the database answered this scrape")
        try:
            with self._database.read_session() as session:
                found = [*_jobs(session), *_leases(session), *_workers(session), *_totals(session)]
        except Exception as error:  # whatever a driver raises
            log.warning("fleet_not_read", error=repr(error))
            found = []
        up.add_metric([], bool(found))
        yield up
        yield from found


def _jobs(session: Session) -> list[Metric]:
    depth = GaugeMetricFamily("rigfuse_jobs", "Adaptations that have not finished", labels=["state", "priority"])
    age = GaugeMetricFamily("rigfuse_queued_oldest_seconds", "How long the oldest has waited", labels=["priority"])
    now = utc_now()
    for (state, priority), found in depths(session).items():
        depth.add_metric([state, priority], found.jobs)
        if state == State.QUEUED:
            age.add_metric([priority], _seconds(found.oldest, now) if found.oldest else 0.0)
    return [depth, age]


def _leases(session: Session) -> list[Metric]:
    query = select(func.min(AdaptationRow.lease_expires_at)).where(
        AdaptationRow.state == State.RUNNING, AdaptationRow.lease_owner != PARTS
    )
    first_end = session.scalar(query)
    overdue = max(0.0, _seconds(first_end, utc_now())) if first_end else 0.0
    told = "How long ago a running job's lease ended, the longest of all"
    return [GaugeMetricFamily("rigfuse_lease_overdue_seconds", told, value=overdue)]


def _workers(session: Session) -> list[Metric]:
    names = ["worker", "device"]
    seen = GaugeMetricFamily("rigfuse_worker_seen_seconds", "Since a worker last reported itself", labels=names)
    busy = GaugeMetricFamily("rigfuse_worker_busy", "Whether it runs an adaptation", labels=names)
    total = GaugeMetricFamily("rigfuse_worker_memory_total_bytes", "Memory of its device", labels=names)
    free = GaugeMetricFamily("rigfuse_worker_memory_free_bytes", "What of it is free", labels=names)
    info = GaugeMetricFamily("rigfuse_worker_info", "Its program", labels=[*names, "version"])
    now = clock(session)
    query = select(WorkerRow).where(WorkerRow.seen_at > now - _FORGOTTEN_AFTER, WorkerRow.stopped_at.is_(None))
    # A container that starts again has the name and number of the one that died: the last seen is told of.
    workers = {(row.host, row.pid): row for row in session.scalars(query.order_by(WorkerRow.seen_at))}
    for row in workers.values():
        labels = [f"{row.host}:{row.pid}", row.device]
        seen.add_metric(labels, _seconds(row.seen_at, now))
        busy.add_metric(labels, row.adaptation_id is not None)
        info.add_metric([*labels, row.version], 1)
        for family, value in ((total, row.memory_total), (free, row.memory_free)):
            if value is not None:
                family.add_metric(labels, value)
    return [seen, busy, info, total, free]


def _totals(session: Session) -> Iterator[Metric]:
    swept = totals.read(session, totals.LAST_SWEEP).get("")
    if swept is not None:
        told = "Since a worker last looked for jobs left behind"
        yield GaugeMetricFamily("rigfuse_last_sweep_seconds", told, value=max(0.0, time.time() - swept))
    for name, (documentation, label) in _COUNTED.items():
        counter = CounterMetricFamily(f"rigfuse_{name}", documentation, labels=[label])
        for value, total in sorted(totals.read(session, name).items()):
            counter.add_metric([value], total)
        yield counter
    stages = HistogramMetricFamily(
        f"rigfuse_{totals.STAGE_SECONDS}", "Time that adaptations which succeeded spent in each stage", labels=["stage"]
    )
    for stage, distribution in totals.read_histogram(session, totals.STAGE_SECONDS).items():
        stages.add_metric([stage], distribution.buckets, distribution.sum)
    yield stages


def _seconds(then: datetime, now: datetime) -> float:
    return (now - then).total_seconds()

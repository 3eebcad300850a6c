"""Every metric that an alert names is there, and a scrape reads through indexes alone."""

import re
import shutil
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from job_rows import add_capture, add_job, add_rig
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from app import totals
from app.db import Database
from app.metrics import Metrics
from app.tables import WorkerRow, utc_now

RULES = Path(__file__).parents[2] / "docs/alerts.yml"


def watched(database: Database, folder: Path) -> Metrics:
    metrics = Metrics(database)
    metrics.watch_engines(lambda: 2, lambda: 300)
    metrics.watch_poses(lambda: 1)
    metrics.watch_under_way(lambda: 4)
    metrics.watch_disk(folder, "data")
    return metrics


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_queue_leases_workers_and_totals_are_told(database: Database, tmp_path: Path) -> None:
    now, rig = utc_now(), add_rig(database)
    capture = add_capture(database, rig)
    for age in (30, 600):
        add_job(database, rig, capture, priority="batch", created_at=now - timedelta(seconds=age))
    add_job(database, rig, capture, state="running", lease_owner="x", lease_expires_at=now - timedelta(seconds=50))
    add_job(database, rig, capture, state="running", lease_owner="x", lease_expires_at=now + timedelta(seconds=50))
    add_job(database, rig, capture, state="succeeded")
    about = {"host": "gpu-1", "version": "1", "device": "H100", "memory_total": 80, "started_at": now}
    with database.session() as session:
        session.add(WorkerRow(id="a", pid=7, memory_free=20, adaptation_id="ada", seen_at=now, **about))
        session.add(WorkerRow(id="before a", pid=7, seen_at=now - timedelta(minutes=5), **about))
        session.add(WorkerRow(id="b", pid=8, seen_at=now, stopped_at=now, **about))
        session.add(WorkerRow(id="c", pid=9, seen_at=now - timedelta(hours=1), **about))
        totals.add_all(session, {(totals.FAILURES, "out_of_memory"): 2, (totals.ATTEMPTS, "succeeded"): 5})
        totals.add_all(session, totals.observed(totals.STAGE_SECONDS, {"learn": 7.0}))
        for earlier in (900, 100):
            totals.put(session, totals.LAST_SWEEP, time.time() - earlier)
    found = samples(watched(database, tmp_path))

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    assert value("rigfuse_jobs", state="queued", priority="batch") == 2
    assert value("rigfuse_jobs", state="queued", priority="interactive") == 0
    assert value("rigfuse_jobs", state="running", priority="interactive") == 2
    assert value("rigfuse_queued_oldest_seconds", priority="batch") == pytest.approx(600, abs=30)
    assert value("rigfuse_lease_overdue_seconds") == pytest.approx(50, abs=30)
    worker = {"worker": "gpu-1:7", "device": "H100"}
    assert value("rigfuse_worker_memory_free_bytes", **worker) == 20
    assert value("rigfuse_worker_busy", **worker) == 1
    assert [name for name, _ in found].count("rigfuse_worker_info") == 1
    assert value("rigfuse_job_failures_total", cause="out_of_memory") == 2
    assert value("rigfuse_job_attempts_total", outcome="succeeded") == 5
    assert value("rigfuse_job_stage_seconds_bucket", stage="learn", le="10") == 1
    assert value("rigfuse_job_stage_seconds_bucket", stage="learn", le="5") == 0
    assert value("rigfuse_job_stage_seconds_sum", stage="learn") == 7
    assert value("rigfuse_database_connections") == 0 or database.url.get_backend_name() == "sqlite"
    assert value("rigfuse_last_sweep_seconds") == pytest.approx(100, abs=30)
    assert value("rigfuse_disk_free_bytes", disk="data") > 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL scans so small a table in any case
def test_a_scrape_reads_adaptations_through_indexes_alone(database: Database, tmp_path: Path) -> None:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "FROM adaptations" in statement:
            statements.append(statement.replace("?", "'x'"))

    event.listen(database.engine, "before_cursor_execute", note)
    watched(database, tmp_path).render()
    event.remove(database.engine, "before_cursor_execute", note)
    assert len(statements) == 2
    with database.engine.connect() as connection:
        for statement in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
            assert all(row[-1].startswith("SEARCH") for row in plan), plan


def test_a_scrape_tells_most_without_a_database(tmp_path: Path) -> None:
    found = samples(watched(Database("postgresql+psycopg://x@127.0.0.1:1/x"), tmp_path))
    assert found["rigfuse_database_up", frozenset()] == 0
    assert found["rigfuse_engines_loaded", frozenset()] == 2


def test_every_metric_of_the_alerts_exists(database: Database, tmp_path: Path) -> None:
    with database.session() as session:
        totals.put(session, totals.LAST_SWEEP, 0)
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    told = " ".join(rule["expr"] + rule["annotations"]["description"] for rule in rules)
    named = set(re.findall(r"\brigfuse_[a-z_]+", told))
    text = watched(database, tmp_path).render().decode()
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count", ""), "gauge": ("",)}
    known = {f"{name}{ending}" for name, kind in families.items() for ending in endings[kind]}
    assert named <= known
    assert len(named) > 12


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_prometheus_takes_the_rules_and_alerts_when_it_should() -> None:
    subprocess.run(["promtool", "check", "rules", RULES], check=True, capture_output=True)
    cases = Path(__file__).with_name("alerts_test.yml")
    subprocess.run(["promtool", "test", "rules", cases], check=True, capture_output=True)

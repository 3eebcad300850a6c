"""``rigfuse doctor``: a whole deployment is well, and whatever is broken is named with what to do about it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from job_rows import add_capture, add_job, add_rig
from running import serving
from typer.testing import CliRunner

from app import totals
from app.artifact_stores import open_artifacts
from app.artifacts import ArtifactStore
from app.cli import app
from app.db import Database
from app.doctor import configuration, parts, storage, work
from app.doctor.examine import examine
from app.doctor.findings import Check, Finding, Mark, Patient, look
from app.settings import Settings
from app.store_identity import store_identity
from app.tables import WorkerRow, utc_now
from app.workers import repository
from models.checkpoint import CODE_VERSION

ROOT = Path(__file__).parents[2]
KEY = "rf_aVeryRandom0ne_5kQz81LmXw"


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_url: str) -> Iterator[Database]:
    """A migrated deployment in the environment; its database."""
    for name in [name for name in os.environ if name.startswith("RIGFUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RIGFUSE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RIGFUSE_BROKER_URL", redis_url)
    monkeypatch.setenv("RIGFUSE_ENVIRONMENT", "embedded")
    database = Database(Settings().database_url)
    database.upgrade()
    open_artifacts(Settings())
    yield database
    database.dispose()


def find(check: Check, **options: Any) -> Finding:
    """The one thing that a check finds."""
    patient = Patient(Settings(), **options)
    try:
        (finding,) = look("the check", check, patient, "the advice")
    finally:
        patient.close()
    return finding


def add_worker(database: Database, **changed: Any) -> None:
    values = {
        "id": "boot/ns/1/2", "host": "studio-1", "pid": 1, "version": CODE_VERSION, "device": "cpu, 2 cores",
        "store": store_identity(Settings()),
    }  # fmt: skip
    row = WorkerRow(**(values | changed))
    with database.session() as session:
        repository.report(session, row)


def test_a_whole_deployment_is_well(deployment: Database) -> None:
    add_worker(deployment)
    answer = CliRunner().invoke(app, ["doctor", "--json"])
    told = json.loads(answer.output)
    assert (answer.exit_code, told["healthy"]) == (0, True), answer.output
    assert {finding["check"] for finding in told["findings"]} >= {
        "settings", "database", "schema", "writes", "clock", "keys", "network", "broker", "artifacts", "disk",
        "stored bytes", "uploads", "weights", "workers", "leases", "ulimits",
    }  # fmt: skip
    assert [finding for finding in told["findings"] if finding["mark"] == "bad"] == []


def test_what_is_wrong_is_a_table_and_exit_1(deployment: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGFUSE_BROKER_URL", "redis://:hunter2@127.0.0.1:1/0")
    answer = CliRunner().invoke(app, ["doctor"])
    assert answer.exit_code == 1
    assert "✗  broker" in answer.output
    assert "is RIGFUSE_BROKER_URL right" in answer.output
    assert "hunter2" not in answer.output


def test_settings_that_are_wrong_are_all_that_is_told(deployment: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGFUSE_PORT", "hunter2")
    (finding,) = examine(deep=False, url=None, api_key=None)
    assert finding.mark is Mark.BAD
    assert finding.told.startswith("RIGFUSE_PORT: ")
    assert "hunter2" not in finding.told


def test_a_misspelt_variable_is_told(deployment: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGFUSE_DATABSE_URL", "x")
    finding = next(iter(examine(deep=False, url=None, api_key=None)))
    assert (finding.mark, finding.told) == (Mark.WARNING, "nobody reads RIGFUSE_DATABSE_URL")


def test_a_database_that_is_away_hides_what_needs_it(deployment: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGFUSE_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/x")
    found = {finding.check: finding for finding in examine(deep=False, url=None, api_key=None)}
    assert found["database"].mark is Mark.BAD
    assert "refused" in found["database"].told
    assert "hunter2" not in str(found)
    assert not {"schema", "keys", "workers", "leases"} & set(found)


def test_a_schema_of_another_release(deployment: Database) -> None:
    deployment.downgrade("0001")
    finding = find(parts.check_migrated)
    assert finding.mark is Mark.BAD
    assert finding.told.startswith("The database's schema is 0001 and has to be")
    deployment.downgrade("base")
    assert "empty" in find(parts.check_migrated).told


@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
def test_a_clock_that_is_wrong(new_database_url: Callable[[str], str]) -> None:
    url = new_database_url("postgresql")
    patient = Patient(Settings(database_url=url))
    assert [finding.mark for finding in parts.check_clock(patient)] == [Mark.GOOD]
    patient.close()
    program = (
        "from app.doctor.findings import Patient; from app.doctor.parts import check_clock; from app.settings import"
        " Settings; print([(f.mark.value, f.told) for f in check_clock(Patient(Settings()))])"
    )
    environment = os.environ | {"RIGFUSE_DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
    command = ["faketime", "-f", "-1h", sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "('warning', '3600." in done.stdout or "('warning', '3599." in done.stdout


@pytest.mark.parametrize(
    ("keys", "mark", "told"),
    [
        (KEY, Mark.GOOD, "1 in the settings"),
        ("", Mark.BAD, "Set RIGFUSE_API_KEYS"),
        ("change-me-please-now", Mark.BAD, "1 of 1 keys"),
        (f"{KEY},1111111111111111", Mark.BAD, "1 of 2 keys"),
        ("short", Mark.BAD, "at least 16"),
    ],
)
def test_keys(deployment: Database, monkeypatch: pytest.MonkeyPatch, keys: str, mark: Mark, told: str) -> None:
    monkeypatch.setenv("RIGFUSE_ENVIRONMENT", "production")
    monkeypatch.setenv("RIGFUSE_API_KEYS", keys)
    finding = find(configuration.check_keys)
    assert (finding.mark, told in finding.told) == (mark, True), finding


def test_a_service_on_the_network_without_a_proxy(deployment: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(configuration.check_network).mark is Mark.GOOD
    monkeypatch.setenv("RIGFUSE_HOST", "0.0.0.0")  # noqa: S104
    finding = find(configuration.check_network)
    assert finding.mark is Mark.WARNING
    assert "RIGFUSE_ALLOWED_HOSTS" in finding.told


def test_a_broker_that_would_throw_messages_away(deployment: Database, redis_url: str) -> None:
    assert find(parts.check_broker).mark is Mark.GOOD
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            finding = find(parts.check_broker)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert (finding.mark, finding.told) == (Mark.BAD, "maxmemory-policy is allkeys-lru")


def test_where_nothing_is_deployed_nothing_is_made(
    deployment: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for command in (["doctor"], ["backup", str(tmp_path / "copy")]):
        answer = CliRunner().invoke(app, [*command, "--data-dir", str(tmp_path / "typo")], terminal_width=200)
        assert answer.exit_code == 1
        assert "no deployment" in answer.output + str(answer.exception)
    assert not (tmp_path / "typo").exists()
    assert not (tmp_path / "copy").exists()
    monkeypatch.setenv("RIGFUSE_DATA_DIR", str(tmp_path))
    shutil.rmtree(tmp_path / "artifacts")
    assert find(storage.check_store).mark is Mark.BAD
    assert not (tmp_path / "artifacts").exists()


def test_a_store_that_takes_nothing(deployment: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RIGFUSE_ARTIFACTS_URL", (tmp_path / "file").as_uri())
    assert find(storage.check_store).mark is Mark.BAD


def test_a_full_disk(deployment: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(storage.check_disks).mark is Mark.GOOD
    monkeypatch.setenv("RIGFUSE_MIN_FREE_BYTES", str(1 << 60))
    assert "MiB wanted" in find(storage.check_disks).told


def test_bytes_that_are_missing_or_damaged(deployment: Database) -> None:
    store = ArtifactStore(Settings().artifacts_url)
    digests = [store.put_bytes(f"artifact {index}".encode()) for index in range(3)]
    for digest in digests:
        add_capture(deployment, add_rig(deployment), labels_sha256=digest, source_sha256=digest)
    assert find(storage.check_bytes).told == "3 verified; --deep verifies all"
    store.path(digests[0]).unlink()
    store.path(digests[1]).write_text("damaged")
    finding = find(storage.check_bytes, deep=True)
    assert finding.mark is Mark.BAD
    assert finding.told.startswith("2 of 3 are not right: ")
    assert digests[2] not in finding.told


def test_uploads_that_were_left_behind(deployment: Database) -> None:
    folder = Settings().uploads_dir / "request"
    folder.mkdir(parents=True)
    (folder / "new").write_bytes(b"x")
    assert find(storage.check_uploads).mark is Mark.GOOD
    (folder / "old").write_bytes(b"x")
    long_ago = time.time() - 7 * 86_400
    os.utime(folder / "old", (long_ago, long_ago))
    assert find(storage.check_uploads).told.startswith("1 abandoned files")


def test_weights_that_are_not_there(deployment: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RIGFUSE_BACKBONE_MANIFEST", str(tmp_path / "none.json"))
    assert find(work.check_weights).mark is Mark.BAD


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"version": "0.0.1"}, "studio-1 has 0.0.1"),
        ({"store": "another"}, "the workers on studio-1 write to another artifact store"),
        ({"stopped_at": utc_now()}, "none has reported itself lately"),
    ],
)
def test_workers_that_are_wrong(deployment: Database, changed: dict[str, Any], told: str) -> None:
    add_worker(deployment, **changed)
    finding = find(work.check_workers)
    assert finding.mark is Mark.BAD
    assert told in finding.told


def test_jobs_that_wait_long_and_leases_that_ended(deployment: Database) -> None:
    add_worker(deployment)
    assert find(work.check_workers).mark is Mark.GOOD
    assert find(work.check_leases).mark is Mark.GOOD
    add_job(deployment, created_at=utc_now() - timedelta(hours=1))
    stale = add_job(deployment, state="running", lease_owner="x", lease_expires_at=utc_now() - timedelta(hours=1))
    assert find(work.check_workers).told.startswith("an adaptation waits since")
    assert stale in find(work.check_leases).told


def test_a_queue_that_nobody_looks_after(deployment: Database, redis_url: str) -> None:
    assert find(work.check_queue).mark is Mark.GOOD
    add_job(deployment)
    assert "nobody has ever swept" in find(work.check_queue).told
    with deployment.session() as session:
        totals.put(session, totals.LAST_SWEEP, time.time())
    assert find(work.check_queue).mark is Mark.GOOD
    with redis.Redis.from_url(redis_url) as client:
        client.rpush("rigfuse.batch", *["x"] * 200)
        try:
            finding = find(work.check_queue)
        finally:
            client.delete("rigfuse.batch")
    assert finding.mark is Mark.WARNING
    with deployment.session() as session:
        totals.put(session, totals.LAST_SWEEP, time.time() - 3600)
    assert "the last sweep was 60 min ago" in find(work.check_queue).told


def test_the_api_where_it_is_said_to_be(deployment: Database, make_settings: Callable[..., Settings]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert find(work.check_api, url=nobody).mark is Mark.BAD
    with serving(make_settings()) as running:
        url = str(running.client.base_url)
        assert find(work.check_api, url=url).mark is Mark.GOOD
        running.app.state.draining.begin()
        assert "about to end" in find(work.check_api, url=url).told


def test_health_of_one_process(
    deployment: Database, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def health(what: str) -> tuple[int, str]:
        answer = CliRunner().invoke(app, ["health", what])
        return answer.exit_code, answer.output.strip()

    assert health("worker") == (1, "no worker of this machine has reported itself")
    add_worker(deployment, host=os.uname().nodename)
    assert health("worker") == (0, "well")
    with deployment.session() as session:
        session.get_one(WorkerRow, "boot/ns/1/2").seen_at = utc_now() - timedelta(minutes=5)
    assert "silent for 300 s" in health("worker")[1]
    with serving(make_settings()) as running:
        monkeypatch.setenv("RIGFUSE_PORT", str(running.client.base_url.port))
        assert health("api") == (0, "well")
        running.app.state.draining.begin()
        assert health("api")[0] == 1
    assert "does not answer" in health("api")[1]
    monkeypatch.setenv("RIGFUSE_BROKER_URL", "redis://127.0.0.1:1/0")
    assert health("worker")[0] == 1

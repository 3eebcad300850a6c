"""The retention policy and the sweep: what goes, what stays, and several sweeps at once."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from job_rows import add_capture, add_job, add_rig, events_of, get_job
from sqlalchemy import select

from app.adaptations.states import State, record
from app.artifacts import ArtifactStore
from app.checkpoints.activation import Action, activate, locked_rig, rollback_target
from app.db import Database
from app.retention import Swept, keep_until, sweep
from app.settings import Settings
from app.tables import AdaptationPartRow, AuditRow, CaptureRow, CheckpointRow, RigRow, new_id, utc_now

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Deployment:
    database: Database
    artifacts: ArtifactStore
    settings: Settings

    def put(self, data: bytes) -> str:
        return self.artifacts.put_bytes(data)

    def capture(self, rig: str, data: bytes, age: timedelta, **values: Any) -> str:
        names = {"labels_sha256": self.put(b"labels " + data), "source_sha256": self.put(data)}
        return add_capture(self.database, rig, created_at=utc_now() - age, **{**names, **values})

    def checkpoints(self, rig: str, count: int) -> list[str]:
        """The oldest first."""
        ids = [new_id("ckp") for _ in range(count)]
        with self.database.session() as session:
            for place, id_ in enumerate(ids):
                session.add(
                    CheckpointRow(
                        id=id_, rig_id=rig, method="metafuse", seed=0, artifact_sha256=self.put(id_.encode()),
                        size_bytes=1, manifest={}, created_at=utc_now() - (count - place) * DAY,
                    )
                )  # fmt: skip
        return ids

    def set_rig(self, rig: str, **values: Any) -> None:
        with self.database.session() as session:
            for name, value in values.items():
                setattr(session.get_one(RigRow, rig), name, value)

    def sweep(self, **changed: Any) -> Swept:
        return sweep(self.database, self.artifacts, self.settings.model_copy(update=changed))

    def purged(self, table: type[CaptureRow] | type[CheckpointRow], id_: str) -> bool:
        with self.database.read_session() as session:
            return session.get_one(table, id_).purged_at is not None

    def alive(self, ids: list[str]) -> list[bool]:
        return [not self.purged(CheckpointRow, id_) for id_ in ids]


@pytest.fixture
def deployment(database_url: str, tmp_path: Path) -> Iterator[Deployment]:
    settings = Settings(data_dir=tmp_path, database_url=database_url, environment="embedded")
    database = Database(settings.database_url)
    yield Deployment(database, ArtifactStore(settings.artifacts_url), settings)
    database.dispose()


def make_old(path: Path) -> None:
    then = time.time() - 2 * DAY.total_seconds()
    os.utime(path, (then, then))


def test_captures_go_when_nobody_used_them_for_so_long(deployment: Deployment) -> None:
    rig, forever = add_rig(deployment.database), add_rig(deployment.database)
    deployment.set_rig(forever, capture_retention_days=0)
    old = deployment.capture(rig, b"old", 40 * DAY)
    young = deployment.capture(rig, b"young", 20 * DAY)
    used = deployment.capture(rig, b"used", 40 * DAY)
    add_job(deployment.database, rig, used, state=State.SUCCEEDED, finished_at=utc_now() - 3 * DAY)
    waiting = deployment.capture(rig, b"waiting", 40 * DAY)
    job = add_job(deployment.database, rig, waiting, created_at=utc_now() - 39 * DAY)
    kept = deployment.capture(forever, b"kept", 4000 * DAY)
    assert deployment.sweep() == Swept(0, 0, 0)  # nothing was said, so all is kept
    assert deployment.sweep(capture_retention_days=30) == Swept(1, 0, 0)
    gone = {id_: deployment.purged(CaptureRow, id_) for id_ in (old, young, used, waiting, kept)}
    assert gone == {old: True, young: False, used: False, waiting: False, kept: False}
    assert get_job(deployment.database, job).state == State.QUEUED
    with deployment.database.read_session() as session:
        row = session.get_one(CaptureRow, old)
        assert not deployment.artifacts.holds(row.labels_sha256)
        assert not deployment.artifacts.holds(row.source_sha256)
        told = session.query(AuditRow).one()
        assert (told.action, told.actor, told.subject, told.detail["reason"]) == (
            "capture.purged",
            "system",
            old,
            "policy",
        )
        rows = [session.get_one(CaptureRow, id_) for id_ in (old, young, used, kept)]
        until = keep_until(session, rows, deployment.settings.model_copy(update={"capture_retention_days": 30}))
    left = {id_: None if at is None else round((at - utc_now()) / DAY) for id_, at in until.items()}
    assert left == {old: None, young: 10, used: 27, kept: None}
    deployment.set_rig(rig, capture_retention_days=10)
    assert deployment.sweep(capture_retention_days=30).captures == 1
    assert deployment.purged(CaptureRow, young)
    assert deployment.sweep(capture_retention_days=30) == Swept(0, 0, 0)


def test_checkpoints_that_may_still_be_wanted_stay(deployment: Deployment) -> None:
    rig = add_rig(deployment.database)
    ids = deployment.checkpoints(rig, 8)
    with deployment.database.session() as session:
        row = locked_rig(session, rig)
        for id_ in (ids[0], ids[1], ids[2], ids[3]):
            activate(session, row, id_, Action.ACTIVATED)
        session.get_one(CheckpointRow, ids[4]).pinned = True
    assert deployment.sweep(checkpoints_kept=2) == Swept(0, 2, 0)
    # The way back (2, then 1), the active one (3), the pinned one, and the newest two.
    assert deployment.alive(ids) == [False, True, True, True, True, False, True, True]
    deployment.set_rig(rig, checkpoints_kept=0)
    assert deployment.sweep(checkpoints_kept=1) == Swept(0, 0, 0)
    deployment.set_rig(rig, checkpoints_kept=1)
    assert deployment.sweep().checkpoints == 2
    assert deployment.alive(ids) == [False, False, True, True, True, False, False, True]
    with deployment.database.session() as session:
        assert rollback_target(session, rig) == ids[2]


def test_what_nobody_names_goes_once_it_is_old(deployment: Deployment) -> None:
    rig = add_rig(deployment.database)
    capture = deployment.capture(rig, b"named", 0 * DAY)
    young, old = deployment.put(b"young"), deployment.put(b"old")
    part, done = deployment.put(b"part"), deployment.put(b"part of what is over")
    for number, (name, state) in enumerate(((part, State.RUNNING), (done, State.CANCELLED))):
        job = add_job(deployment.database, rig, capture, state=state)
        with deployment.database.session() as session:
            session.add(AdaptationPartRow(adaptation_id=job, number=number, work={}, artifact_sha256=name))
    for stored in list(deployment.artifacts.list()):
        if stored.sha256 not in {young, done}:
            make_old(deployment.artifacts.path(stored.sha256))
    leftovers = [deployment.artifacts.root / "incoming" / "tmpold", deployment.settings.uploads_dir / "tmpold"]
    leftovers[1].mkdir(parents=True)
    leftovers[0].write_bytes(b"half")
    for leftover in leftovers:
        make_old(leftover)
    begun = deployment.artifacts.root / "incoming" / "tmpnew"
    begun.write_bytes(b"being written")
    assert deployment.sweep() == Swept(0, 0, 2)
    held = {name: deployment.artifacts.holds(name) for name in (young, old, part, done)}
    assert held == {young: True, old: False, part: True, done: False}
    assert len(list(deployment.artifacts.list())) == 4
    assert ([path.exists() for path in leftovers], begun.exists()) == ([False, False], True)


def test_bytes_of_a_purge_that_was_interrupted_go_at_once(deployment: Deployment) -> None:
    capture = deployment.capture(add_rig(deployment.database), b"private", 0 * DAY, purged_at=utc_now())
    assert deployment.sweep() == Swept(0, 0, 2)
    with deployment.database.read_session() as session:
        assert not deployment.artifacts.holds(session.get_one(CaptureRow, capture).source_sha256)


def test_of_jobs_long_past_the_progress_is_forgotten_and_the_end_is_not(deployment: Deployment) -> None:
    jobs = {}
    for name, age in (("old", 8 * DAY), ("young", DAY)):
        jobs[name] = add_job(deployment.database, state=State.FAILED, finished_at=utc_now() - age)
        with deployment.database.session() as session:
            for kind in ("queued", "progress", "progress", "failed"):
                record(session, jobs[name], kind, {})
            session.add(AdaptationPartRow(adaptation_id=jobs[name], number=0, work={"piece": "width/0"}))
    deployment.sweep()
    kinds = {name: [event.kind for event in events_of(deployment.database, job)] for name, job in jobs.items()}
    assert kinds == {"old": ["queued", "failed"], "young": ["queued", "progress", "progress", "failed"]}
    with deployment.database.read_session() as session:
        assert session.scalars(select(AdaptationPartRow.adaptation_id)).all() == [jobs["young"]]


def test_several_sweeps_at_once_do_what_one_does(deployment: Deployment) -> None:
    rig = add_rig(deployment.database)
    captures = [deployment.capture(rig, f"{number}".encode(), 40 * DAY) for number in range(6)]
    ids = deployment.checkpoints(rig, 6)
    done: list[Swept] = []
    wrong: list[Exception] = []

    def run() -> None:
        try:
            done.append(deployment.sweep(capture_retention_days=30, checkpoints_kept=2))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(deployment.purged(CaptureRow, id_) for id_ in captures)
    assert deployment.alive(ids) == [False, False, False, False, True, True]
    assert len(list(deployment.artifacts.list())) == 2
    with deployment.database.read_session() as session:
        assert session.query(AuditRow).filter(AuditRow.action == "capture.purged").count() == 6
        assert session.query(AuditRow).filter(AuditRow.action == "checkpoint.purged").count() == 4

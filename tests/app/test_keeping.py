"""Bytes that several captures share, sealed and purged at the same time: no live row ever lacks its bytes."""

import threading
from pathlib import Path

import pytest
from job_rows import add_rig
from sqlalchemy import update

from app.artifacts import ArtifactStore
from app.captures import purging
from app.db import Database
from app.keeping import keep, let_go, named
from app.tables import CaptureRow, new_id

THREADS, ROUNDS = 4, 12


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "artifacts").as_uri())


def seal(database: Database, artifacts: ArtifactStore, rig: str, data: tuple[bytes, bytes]) -> CaptureRow:
    """As the endpoint does it: the bytes, and later the row."""
    labels, source = (artifacts.put_bytes(each) for each in data)
    with database.session() as session:
        row = CaptureRow(
            id=new_id("cap"), rig_id=rig, kind="heatmaps", digest="0" * 64, frames=1, labelled_joints=1, coverage={},
            warnings=[], labels_sha256=labels, source_sha256=source,
        )  # fmt: skip
        session.add(row)
        session.flush()
        puts = {labels: lambda: artifacts.put_bytes(data[0]), source: lambda: artifacts.put_bytes(data[1])}
        keep(session, artifacts, puts)
    return row


def test_whoever_seals_while_others_purge_has_its_bytes(database: Database, artifacts: ArtifactStore) -> None:
    rig = add_rig(database)
    shared = (b"labels that two have", b"frames that all have")
    wrong: list[object] = []

    def work() -> None:
        try:
            for _ in range(ROUNDS):
                row = seal(database, artifacts, rig, shared)
                names = {row.labels_sha256, row.source_sha256}
                if not all(artifacts.holds(name) for name in names):
                    wrong.append(row.id)
                with database.session() as session:
                    purging.purge(session, row.id, "request")
                purging.erase(database, artifacts, [row])
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list(artifacts.list()) == []  # the last one that was purged took them along


def test_bytes_purged_between_storing_and_sealing_are_stored_again(
    database: Database, artifacts: ArtifactStore
) -> None:
    rig = add_rig(database)
    name = artifacts.put_bytes(b"x")
    assert let_go(database, artifacts, [name, name]) == [name]  # another's purge comes between
    row = seal(database, artifacts, rig, (b"x", b"y"))
    assert artifacts.read(row.labels_sha256) == b"x"
    assert let_go(database, artifacts, [row.labels_sha256, row.source_sha256]) == []
    with database.session() as session:
        session.execute(update(CaptureRow).values(studio="another"))
        assert named(session, [name, "f" * 64]) == {name}

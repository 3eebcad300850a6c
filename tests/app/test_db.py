"""Migrations and sessions, on SQLite and PostgreSQL."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from app.db import Database, after_commit
from app.tables import ActivationRow, AdaptationEventRow, Base, CaptureRow, CheckpointRow, RigRow, new_id


@pytest.fixture
def fresh(empty_url: str) -> Iterator[Database]:
    """Migrated just now; the other tests have a copy of one that was."""
    made = Database(empty_url.replace("postgresql://", "postgresql+psycopg://"))
    made.upgrade()
    yield made
    made.dispose()


def rig(**changed: object) -> RigRow:
    return RigRow(**({"id": new_id("rig"), "name": "x", "digest": "0" * 64, "document": {}} | changed))


def test_the_migrations_make_exactly_the_tables(fresh: Database) -> None:
    with fresh.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_constraint_has_the_name_of_the_convention(database: Database) -> None:
    inspector = inspect(database.engine)
    for table in Base.metadata.sorted_tables:
        expected = {constraint.name for constraint in table.foreign_key_constraints}
        assert {key["name"] for key in inspector.get_foreign_keys(table.name)} == expected
        assert {index["name"] for index in inspector.get_indexes(table.name)} >= {i.name for i in table.indexes}


def test_the_migrations_go_down_to_nothing_and_up_again(fresh: Database) -> None:
    with fresh.session() as session:
        session.add(rig())
    fresh.downgrade("base")
    assert set(inspect(fresh.engine).get_table_names()) <= {"alembic_version"}
    fresh.upgrade()
    with fresh.read_session() as session:
        assert session.scalars(select(RigRow)).all() == []


def test_several_processes_may_migrate_at_once(empty_url: str) -> None:
    url = empty_url.replace("postgresql://", "postgresql+psycopg://")
    failures: list[Exception] = []

    def migrate() -> None:
        database = Database(url)
        try:
            database.upgrade()
        except Exception as error:
            failures.append(error)
        finally:
            database.dispose()

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_foreign_keys_hold_also_after_a_migration(fresh: Database) -> None:
    with pytest.raises(IntegrityError), fresh.session() as session:
        session.add(ActivationRow(rig_id="rig_none", action="promoted"))


def test_times_come_back_aware_and_in_utc(database: Database) -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, 123456, timezone(timedelta(hours=2)))
    with database.session() as session:
        session.add(rig(created_at=moment))
    with database.read_session() as session:
        read = session.scalars(select(RigRow.created_at)).one()
    assert read == moment
    assert read.tzinfo is UTC
    with pytest.raises(StatementError), database.session() as session:
        session.add(rig(created_at=datetime(2026, 1, 1)))


def test_a_session_that_fails_keeps_nothing_and_sends_nothing(database: Database) -> None:
    sent: list[str] = []

    def fail() -> None:
        with database.session() as session:
            session.add(rig())
            after_commit(session, lambda: sent.append("lost"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.session() as session:
        session.add(rig())
        after_commit(session, lambda: sent.append("first"))
        after_commit(session, lambda: 1 / 0)
        after_commit(session, lambda: sent.append("second"))
        assert sent == []
    assert sent == ["first", "second"]
    with database.read_session() as session:
        assert len(session.scalars(select(RigRow)).all()) == 1


def test_readers_do_not_write_on_postgresql_and_do_not_wait_on_sqlite(database: Database) -> None:
    with database.session() as writer:
        writer.add(rig())
        writer.flush()
        with database.read_session() as reader:
            assert reader.scalars(select(RigRow)).all() == []
    with database.read_session() as reader:
        if database.engine.dialect.name == "postgresql":
            assert reader.execute(text("SHOW transaction_read_only")).scalar_one() == "on"
        assert len(reader.scalars(select(RigRow)).all()) == 1


def test_writers_come_one_after_another(database: Database) -> None:
    with database.session() as session:
        row = rig(revision=0)
        session.add(row)

    def add_one() -> None:
        with database.session() as session:
            query = select(RigRow).where(RigRow.id == row.id).with_for_update()
            session.scalars(query).one().revision += 1

    threads = [threading.Thread(target=add_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read_session() as session:
        assert session.get_one(RigRow, row.id).revision == 8


def test_counters_count_up_and_documents_keep_their_form(database: Database) -> None:
    document = {"ü": [1, 2.5, None, {"deep": True}]}
    with database.session() as session:
        row = rig(document=document)
        session.add(row)
        session.flush()
        capture = CaptureRow(
            id=new_id("cap"), rig_id=row.id, kind="heatmaps", digest="0" * 64, frames=1, labelled_joints=1,
            coverage={}, warnings=["a"], labels_sha256="0" * 64, source_sha256="0" * 64,
        )  # fmt: skip
        session.add(capture)
        for _ in range(3):
            session.add(ActivationRow(rig_id=row.id, action="promoted"))
            session.flush()
    with database.read_session() as session:
        assert session.scalars(select(ActivationRow.id).order_by(ActivationRow.id)).all() == [1, 2, 3]
        assert session.get_one(RigRow, row.id).document == document
        assert session.scalars(select(AdaptationEventRow)).all() == []


@pytest.mark.parametrize(
    ("metrics", "jdr", "held_out_px"),
    [
        ({"fused": {"jdr": 0.9, "reprojection_median_px": 4, "reprojection_px": 5.0}}, 0.9, 4.0),
        ({"fused": {"jdr": 1, "reprojection_median_px": 0, "reprojection_px": 5.0}}, 1.0, 5.0),
        ({"fused": {"jdr": "high", "reprojection_px": 0.0}}, None, None),
        ({"fused": ["odd"]}, None, None),
        (["odd"], None, None),
    ],
)
def test_scores_to_sort_by_are_numbers_or_unknown(
    database: Database, metrics: object, jdr: float | None, held_out_px: float | None
) -> None:
    with database.session() as session:
        session.add(row := rig())
        session.flush()
        made = CheckpointRow(
            id=new_id("ckp"), rig_id=row.id, method="m", seed=1, artifact_sha256="0" * 64, size_bytes=1,
            manifest={"metrics": metrics},
        )  # fmt: skip
        session.add(made)
    assert (made.jdr_after, made.held_out_px, made.jdr_before) == (jdr, held_out_px, None)


def test_no_relationship_loads_by_itself() -> None:
    for mapper in Base.registry.mappers:
        assert all(relationship.lazy == "raise" for relationship in mapper.relationships)


def test_a_host_that_is_silent_is_given_up_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"postgresql+psycopg://u:p@127.0.0.1:{port}/x")
        begun = time.monotonic()
        with pytest.raises(OperationalError, match="timeout"):
            database.ping()
    assert time.monotonic() - begun < 8


def test_what_the_address_says_of_patience_holds(new_database_url: Callable[[str], str]) -> None:
    url = new_database_url("postgresql").replace("postgresql://", "postgresql+psycopg://")
    database = Database(f"{url}&connect_timeout=11")
    with database.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, psycopg.Connection)
        parameters = raw.info.get_parameters()
    database.dispose()
    assert (parameters["connect_timeout"], parameters["tcp_user_timeout"]) == ("11", "10000")

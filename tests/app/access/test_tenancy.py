"""Studios do not see each other's rows, whatever statement asks for them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import aliased

from app.access import tenancy
from app.access.principal import Principal, Scope
from app.db import Database
from app.tables import (
    ActivationRow,
    AdaptationEventRow,
    AdaptationRow,
    ApiKeyRow,
    AuditRow,
    Base,
    BrowserSessionRow,
    CaptureRow,
    CheckpointRow,
    RigRow,
    RigServingRow,
    TotalRow,
    WorkerRow,
)

ROOT = Path(__file__).parents[3]
OURS, THEIRS = "ours", "theirs"


def rows_of(studio: str) -> list[Base]:
    """One row of every table that belongs to somebody."""
    return [
        RigRow(id=f"rig_{studio}", studio=studio, name=studio, digest="0" * 64, document={}),
        CaptureRow(
            id=f"cap_{studio}", studio=studio, rig_id=f"rig_{studio}", kind="heatmaps", digest="0" * 64, frames=1,
            labelled_joints=1, coverage={}, warnings=[], labels_sha256="0" * 64, source_sha256="0" * 64,
        ),
        AdaptationRow(
            id=f"ada_{studio}", studio=studio, rig_id=f"rig_{studio}", capture_id=f"cap_{studio}", method="metafuse",
            seed=0,
        ),
        CheckpointRow(
            id=f"ckp_{studio}", studio=studio, rig_id=f"rig_{studio}", method="metafuse", seed=0,
            artifact_sha256="0" * 64, size_bytes=1, manifest={},
        ),
        AdaptationEventRow(adaptation_id=f"ada_{studio}", kind="queued", data={}),
        ActivationRow(rig_id=f"rig_{studio}", action="activated"),
        RigServingRow(rig_id=f"rig_{studio}"),
        ApiKeyRow(id=f"key_{studio}", name="x", studio=studio, scopes=[], sha256=studio.rjust(64, "0"), hint="rf_"),
        AuditRow(action="x", studio=studio, subject=f"rig_{studio}"),
    ]  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, new_database_url: Callable[[str], str]) -> Iterator[Database]:
    database = Database(new_database_url(request.param))
    for studio in (OURS, THEIRS):
        with database.session() as session:
            for row in rows_of(studio):
                session.add(row)
                session.flush()
    yield database
    database.dispose()


def acting_for(database: Database, studio: str) -> Database:
    return database.acting_as(Principal("key_x", "x", frozenset(Scope), studio))


TABLES = [RigRow, CaptureRow, AdaptationRow, CheckpointRow, AdaptationEventRow, ActivationRow, RigServingRow,
          ApiKeyRow, AuditRow]  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_one_row_each_and_both_for_who_belongs_to_no_studio(database: Database, table: type[Base]) -> None:
    counted = select(func.count()).select_from(table)
    for studio, expected in ((OURS, 1), (THEIRS, 1), (OURS, 1), ("nobody's", 0), ("", 2)):
        with acting_for(database, studio).read_session() as session:
            assert len(session.scalars(select(table)).all()) == expected
            assert session.scalar(counted) == expected


def sneaky() -> list[Select[tuple[str]]]:
    """Ways to ask for what is another's."""
    other = aliased(RigRow)
    return [
        select(RigRow.id).where(RigRow.id == "rig_theirs"),
        select(CaptureRow.id).join(RigRow, RigRow.id == CaptureRow.rig_id).where(RigRow.name == THEIRS),
        select(RigRow.id).join(other, other.id == "rig_theirs"),
        select(RigRow.id).where(RigRow.id.in_(select(CaptureRow.rig_id).where(CaptureRow.studio == THEIRS))),
        select(RigRow.id).where(RigRow.id == "rig_theirs").with_for_update(),
        select(RigRow.id).where(RigRow.studio == THEIRS).union(select(other.id).where(other.studio == THEIRS)),
    ]


@pytest.mark.parametrize("number", range(len(sneaky())))
def test_no_join_alias_subquery_or_union_gets_around_it(database: Database, number: int) -> None:
    with acting_for(database, OURS).session() as session:
        assert session.scalars(sneaky()[number]).all() == []
    with acting_for(database, "").session() as session:
        assert session.scalars(sneaky()[number]).first() is not None


def test_no_row_is_found_by_its_key(database: Database) -> None:
    with acting_for(database, OURS).session() as session:
        for table, prefix in ((RigRow, "rig"), (CaptureRow, "cap"), (AdaptationRow, "ada"), (CheckpointRow, "ckp")):
            assert session.get(table, f"{prefix}_theirs") is None
            assert session.get(table, f"{prefix}_theirs", with_for_update=True) is None
            assert session.get_one(table, f"{prefix}_ours").studio == OURS


def test_nothing_of_another_studio_is_changed_or_deleted(database: Database) -> None:
    with acting_for(database, OURS).session() as session:
        changed = session.execute(update(RigRow).where(RigRow.id == "rig_theirs").values(name="taken"))
        deleted = session.execute(delete(AdaptationEventRow).where(AdaptationEventRow.adaptation_id == "ada_theirs"))
        assert (changed.rowcount, deleted.rowcount) == (0, 0)  # type: ignore[attr-defined]
        mine = session.execute(update(RigRow).where(RigRow.id == "rig_ours").values(notes="x"))
        assert mine.rowcount == 1  # type: ignore[attr-defined]
    with database.read_session() as session:
        assert session.get_one(RigRow, "rig_theirs").name == THEIRS


def test_what_a_studio_writes_is_its_own(database: Database) -> None:
    with acting_for(database, OURS).session() as session:
        session.add(RigRow(id="rig_new", name="x", digest="0" * 64, document={}))
        session.flush()
        row = session.get_one(RigRow, "rig_new")
        session.refresh(row)
        assert row.studio == OURS
        session.delete(row)
    with (
        pytest.raises(tenancy.AnotherStudio),
        acting_for(database, OURS).session() as session,
    ):
        session.add(RigRow(id="rig_new", studio=THEIRS, name="x", digest="0" * 64, document={}))


def test_every_table_is_somebodys_or_known_to_be_the_operators() -> None:
    tables = {mapper.class_ for mapper in Base.registry.mappers}
    owned = {*tenancy.OWNED, *tenancy.OF_RIGS, *tenancy.OF_ADAPTATIONS, *tenancy.OF_KEYS}
    assert tables == owned | {WorkerRow, TotalRow, BrowserSessionRow}


def test_no_query_joins_in_a_way_that_is_not_narrowed() -> None:
    """SQLAlchemy narrows Select.join and outerjoin, but not a join that is given to select_from."""
    sources = [path for folder in ("app", "worker") for path in (ROOT / folder).rglob("*.py")]
    text = {path: path.read_text() for path in sources}
    assert not [path for path, source in text.items() if re.search(r"import [^\n]*\b(outer)?join\b", source)]

"""A backup is a folder: ``rigfuse.db`` with all rows, whatever database they came from, ``artifacts`` and a note.

The rows are read in one snapshot and before the artifacts. Artifacts never change and are written before the rows that
name them, so what is copied after the rows holds all that they name, while the service goes on.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, Table, delete, insert, select, text, update
from sqlalchemy.orm import Session

from app import deployments
from app.adaptations.states import FINISHED
from app.artifact_stores import open_artifacts
from app.artifacts import Artifacts, ArtifactStore
from app.db import Database
from app.errors import Conflict
from app.keeping import named
from app.revisions import check_schema, revision_of
from app.settings import Settings
from app.tables import AdaptationPartRow, AdaptationRow, Base, CaptureRow, CheckpointRow, RequestFrameRow, utc_now
from models.checkpoint import CODE_VERSION
from models.errors import CorruptArtifact

_ROWS, _ARTIFACTS, _ABOUT = "rigfuse.db", "artifacts", "backup.json"
_BATCH = 1000


def back_up(settings: Settings, folder: Path, *, verify: bool = True) -> str:
    """Copy everything that rows name into ``folder``, which has to be empty; answers a sentence."""
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty: a backup is made in a folder of its own.", at=str(folder))
    if not deployments.is_there(settings):
        told = f"There is no deployment here, in {settings.data_dir}; set RIGFUSE_DATA_DIR, or give --data-dir."
        raise Conflict(told, at="RIGFUSE_DATA_DIR")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        closing(_Opened(settings.database_url)) as source,
        closing(_Opened(f"sqlite:///{folder.resolve() / _ROWS}")) as copy,
    ):
        check_schema(source.database)
        copy.database.upgrade()
        rows = _copy_rows(source.database, copy.database)
        store = ArtifactStore((folder.resolve() / _ARTIFACTS).as_uri())
        kept = _copy_artifacts(source.database, copy.database, open_artifacts(settings, make=False), store)
        if verify:
            _verify(copy.database, store)
        about = {"made_at": utc_now().isoformat(), "rigfuse": CODE_VERSION, "revision": revision_of(copy.database)}
    (folder / _ABOUT).write_text(json.dumps({**about, "rows": rows, "artifacts": kept}, indent=1) + "\n")
    return f"{sum(rows.values())} rows and {kept} artifacts are in {folder}{', verified' if verify else ''}."


def restore_from(settings: Settings, folder: Path) -> str:
    """Put the backup into the database and store of the settings, which have to be empty; answers a sentence."""
    if not (folder / _ABOUT).is_file():
        raise Conflict(f"{folder} holds no backup, or one that was not finished.", at=str(folder))
    with TemporaryDirectory() as place, closing(_Opened(settings.database_url)) as target:
        rows = Path(place) / _ROWS  # a copy, as it may have to be migrated
        copyfile(folder / _ROWS, rows)
        with closing(_Opened(f"sqlite:///{rows}")) as copy:
            copy.database.upgrade()
            target.database.upgrade()
            _check_empty(target.database)
            store = ArtifactStore((folder.resolve() / _ARTIFACTS).as_uri(), make=False)
            kept = _put_artifacts(copy.database, store, open_artifacts(settings))
            found = _copy_rows(copy.database, target.database)
    return f"{sum(found.values())} rows and {kept} artifacts were restored; start the service."


class _Opened:
    """A database for the length of a block."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def close(self) -> None:
        self.database.dispose()


def _check_empty(database: Database) -> None:
    with database.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            if connection.execute(select(table).limit(1)).first() is not None:
                raise Conflict(f"The database holds {table.name} already: restore into an empty one.", at="database")


def _copy_rows(source: Database, target: Database) -> dict[str, int]:
    """Copy all tables in one snapshot; answers the numbers of rows."""
    counts = {}
    with source.read_session() as session, target.engine.begin() as writing:
        reading = session.connection(execution_options=_snapshot(source))
        for table in Base.metadata.sorted_tables:
            counts[table.name] = sum(_copy_batch(batch, table, writing) for batch in _batches(reading, table))
        for table in Base.metadata.sorted_tables:
            _point_forward(reading, table, writing)
        _count_on(writing)
    return counts


def _snapshot(database: Database) -> dict[str, str]:
    # A transaction of SQLite sees one state of the file from its first read on.
    return {"isolation_level": "REPEATABLE READ"} if database.url.get_backend_name() == "postgresql" else {}


def _batches(reading: Connection, table: Table) -> Iterator[list[dict[str, object]]]:
    statement = select(table).execution_options(yield_per=_BATCH)  # few at a time, however many there are
    for rows in reading.execute(statement).mappings().partitions():
        yield [dict(row) for row in rows]


def _forward(table: Table) -> list[str]:
    """Columns that point at tables further on, which have to be filled after those are."""
    return [key.column_keys[0] for key in table.foreign_key_constraints if key.use_alter]


def _copy_batch(batch: list[dict[str, object]], table: Table, writing: Connection) -> int:
    later = dict.fromkeys(_forward(table))
    writing.execute(insert(table), [{**row, **later} for row in batch])
    return len(batch)


def _point_forward(reading: Connection, table: Table, writing: Connection) -> None:
    for name in _forward(table):
        column = table.c[name]
        for row in reading.execute(select(table.c.id, column).where(column.is_not(None))):
            writing.execute(update(table).where(table.c.id == row[0]).values({name: row[1]}))


def _count_on(writing: Connection) -> None:
    """Have PostgreSQL number new rows after the ones that came with their numbers."""
    if writing.dialect.name != "postgresql":
        return
    for table in Base.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            told = {"table": table.name, "column": column.name}
            largest = f"SELECT coalesce(max({column.name}), 0) + 1 FROM {table.name}"  # noqa: S608 - our own names
            writing.execute(
                text(f"SELECT setval(pg_get_serial_sequence(:table, :column), ({largest}), false)"),
                told,
            )


def _digests(session: Session) -> list[str]:
    """What live rows name."""
    captures = select(CaptureRow.labels_sha256, CaptureRow.source_sha256).where(CaptureRow.purged_at.is_(None))
    checkpoints = select(CheckpointRow.artifact_sha256).where(CheckpointRow.purged_at.is_(None))
    parts = (
        select(AdaptationPartRow.artifact_sha256)
        .join(AdaptationRow, AdaptationRow.id == AdaptationPartRow.adaptation_id)
        .where(AdaptationPartRow.artifact_sha256.is_not(None), AdaptationRow.state.not_in(FINISHED))
    )
    queries = (captures, checkpoints, parts, select(RequestFrameRow.source_sha256))
    return sorted({digest for query in queries for row in session.execute(query) for digest in row})


def _copy_artifacts(source: Database, copy: Database, artifacts: Artifacts, store: ArtifactStore) -> int:
    with copy.session() as session:
        digests, gone = _digests(session), []
        for digest in digests:
            try:
                with artifacts.borrow(digest) as path:
                    store.put_file(path)
            except CorruptArtifact:
                with source.read_session() as now:
                    if named(now, [digest]):
                        raise
                gone.append(digest)  # purged since its row was copied
        for table, columns in ((CaptureRow, ("labels_sha256", "source_sha256")), (CheckpointRow, ("artifact_sha256",))):
            for column in columns:
                purged = update(table).where(getattr(table, column).in_(gone))
                session.execute(purged.values(purged_at=utc_now()))
        # Parts whose adaptation went on meanwhile: in the copy, which is of before that, they are worked on again.
        session.execute(delete(AdaptationPartRow).where(AdaptationPartRow.artifact_sha256.in_(gone)))
        session.execute(delete(RequestFrameRow).where(RequestFrameRow.source_sha256.in_(gone)))
    return len(digests) - len(gone)


def _put_artifacts(copy: Database, store: ArtifactStore, target: Artifacts) -> int:
    with copy.read_session() as session:
        digests = _digests(session)
    for digest in digests:
        with store.borrow(digest) as path:
            target.put_file(path)
    return len(digests)


def _verify(copy: Database, store: ArtifactStore) -> None:
    with copy.read_session() as session:
        if session.execute(text("PRAGMA integrity_check")).scalar_one() != "ok":
            raise CorruptArtifact("The copied rows are damaged: is the disk of the backup well?")
        for digest in _digests(session):
            store.open(digest).close()

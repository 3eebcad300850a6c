"""The database: one engine, sessions that commit once at the edge, and what is to happen after a commit."""

import copy
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session, sessionmaker

from app.access import tenancy
from app.access.principal import SYSTEM, Principal, act_as

log = structlog.get_logger(__name__)

BUSY_TIMEOUT_MS = 15_000
MIGRATION_LOCK = 0x52696746  # one number for all processes that migrate the same PostgreSQL database
_AFTER_COMMIT = "after_commit"
# A host that is silent must not hold a request for the minutes that TCP itself would wait.
_PATIENCE = {"connect_timeout": 5, "tcp_user_timeout": 10_000}


class Database:
    """A pool of connections to one database, SQLite or PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.engine = _create_engine(url)
        # A reader never waits for the one writer that SQLite allows.
        reader = self.engine.execution_options(sqlite_begin="DEFERRED", postgresql_readonly=True)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._read_sessions = sessionmaker(reader, expire_on_commit=False)
        self._principal = SYSTEM
        for sessions in (self._sessions, self._read_sessions):
            tenancy.watch(sessions)

    def acting_as(self, principal: Principal) -> "Database":
        """The same database as ``principal`` may see and change it: the rows of one studio, or all."""
        bound = copy.copy(self)
        bound._principal = principal
        return bound

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that commits when the block succeeds, rolls back when it raises."""
        with self._sessions() as session:
            act_as(session, self._principal)
            yield session
            session.commit()
            _run_after_commit(session)

    @contextmanager
    def read_session(self) -> Iterator[Session]:
        """A session for reading; on SQLite it takes no write lock."""
        with self._read_sessions() as session:
            act_as(session, self._principal)
            yield session

    def ping(self) -> None:
        """Ask the database for an answer; raises what the driver raises when there is none."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def upgrade(self, revision: str = "head") -> None:
        """Bring the schema up to ``revision``; safe when several processes start at once."""
        self._migrate(lambda config: command.upgrade(config, revision))

    def downgrade(self, revision: str) -> None:
        """Take the schema down to ``revision``."""
        self._migrate(lambda config: command.downgrade(config, revision))

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _migrate(self, run: Callable[[Config], None]) -> None:
        with as_file(files("migrations")) as folder, self.engine.connect() as connection:
            config = Config()
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            config.attributes["connection"] = connection
            with _foreign_keys_off(connection), connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                run(config)


def after_commit(session: Session, call: Callable[[], Any]) -> None:
    """Run ``call`` once ``session`` has committed; it is dropped when the session rolls back.

    A failure is logged, never raised: the row is committed, and the sweeper sends what was not sent.
    """
    session.info.setdefault(_AFTER_COMMIT, []).append(call)


def _run_after_commit(session: Session) -> None:
    for call in session.info.pop(_AFTER_COMMIT, []):
        try:
            call()
        except Exception as error:
            log.warning("after_commit_failed", error=repr(error))


def _create_engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        patience = {name: value for name, value in _PATIENCE.items() if name not in parsed.query}
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True, connect_args=patience)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE waits for the write lock here, where busy_timeout applies; a deferred transaction that
    # first reads and then writes fails at once when another writer came between.
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    # Batch migrations rebuild tables, which enforced foreign keys forbid; the pragma needs no transaction open.
    raw = connection.connection.dbapi_connection
    if not isinstance(raw, sqlite3.Connection):
        yield
        return
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")

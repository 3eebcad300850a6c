"""Database and broker: there, of the right kind and schema, writable, and of one mind about the time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from app.doctor.findings import Finding, Patient, bad, good, warning
from app.revisions import check_schema, known_revisions
from app.tables import TotalRow, utc_now

_OLDEST_POSTGRES = 14
_SKEW = timedelta(seconds=2)


def check_database(patient: Patient) -> Iterator[Finding]:
    """Whether it answers, and which one it is."""
    patient.database.ping()
    with patient.database.engine.connect() as connection:
        version = [int(part) for part in connection.dialect.server_version_info or ()]
        told = f"{connection.dialect.name} {'.'.join(map(str, version))}"
        if connection.dialect.name == "postgresql" and version < [_OLDEST_POSTGRES]:
            yield warning("database", told, f"use PostgreSQL {_OLDEST_POSTGRES} or newer")
        else:
            yield good("database", told)


def check_migrated(patient: Patient) -> Iterator[Finding]:
    """Whether the schema is the one of this program."""
    check_schema(patient.database)
    yield good("schema", f"revision {known_revisions()[0]} or newer")


def check_writable(patient: Patient) -> Iterator[Finding]:
    """Whether a transaction may write; what it writes is taken back."""
    with patient.database.session() as session:
        session.add(TotalRow(name="doctor", label=utc_now().isoformat(), value=0))
        session.flush()
        session.rollback()
    yield good("writes", "a transaction may write")


def check_clock(patient: Patient) -> Iterator[Finding]:
    """Whether this machine and the database's agree on the time."""
    with patient.database.engine.connect() as connection:
        if connection.dialect.name != "postgresql":
            yield good("clock", "the database has this machine's")
            return
        before = datetime.now(UTC)
        theirs = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        ours = before + (datetime.now(UTC) - before) / 2
    skew = abs(theirs - ours)
    told = f"{skew.total_seconds():.1f} s between this machine and the database"
    if skew > _SKEW:
        yield warning("clock", told, "run NTP on both: stored times and the end of keys come from either")
    else:
        yield good("clock", told)


def check_broker(patient: Patient) -> Iterator[Finding]:
    """Whether it answers, and whether it would throw messages away when its memory is full."""
    patient.queue.ping()
    policy, messages = patient.queue.eviction_policy(), patient.queue.waiting()
    if policy is None:
        yield good("broker", f"answers; {messages} messages wait; its memory policy is not to be seen")
    elif policy != "noeviction":
        yield bad("broker", f"maxmemory-policy is {policy}", "set it to noeviction: others throw away messages of jobs")
    else:
        yield good("broker", f"answers; {messages} messages wait; noeviction")

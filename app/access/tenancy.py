"""Studios do not see each other: every ORM statement of a studio's session is narrowed to the studio's rows.

It happens beneath the queries, so that none can forget it: what another studio owns is not there. Only ORM statements
are seen here; the service writes no others where somebody asks.
"""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import event, select
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker, with_loader_criteria
from sqlalchemy.orm.util import LoaderCriteriaOption

from app import tables
from app.access.principal import acting
from app.errors import Forbidden

OWNED = (
    tables.RigRow,
    tables.CaptureRow,
    tables.AdaptationRow,
    tables.CheckpointRow,
    tables.ApiKeyRow,
    tables.AuditRow,
)
"""Tables whose rows say whose they are."""

OF_RIGS = (tables.ActivationRow, tables.RigServingRow, tables.RequestFrameRow)
OF_ADAPTATIONS = (tables.AdaptationEventRow, tables.AdaptationPartRow)
OF_KEYS = (tables.KeyUsageRow,)
"""Tables whose rows are whose their rig, adaptation or key is."""

# The bare tables, which the criteria leave alone.
_RIGS = tables.RigRow.__table__
_ADAPTATIONS = tables.AdaptationRow.__table__
_KEYS = tables.ApiKeyRow.__table__


class AnotherStudio(Exception):
    """The code was about to write a row that the caller's studio does not own."""


def watch(sessions: sessionmaker[Session]) -> None:
    """Keep every session of ``sessions`` within the studio that it acts for."""
    event.listen(sessions, "do_orm_execute", _narrow)
    event.listen(sessions, "before_flush", _own)


def studio_of_new(session: Session, asked: str) -> str:
    """Whose a new row is: the caller's own studio, or the one it asks for where it has none; raises Forbidden."""
    own = acting(session).studio
    if own and asked not in {"", own}:
        raise Forbidden(f"Your key belongs to the studio {own!r}, and so does all that it makes.", at="studio")
    return own or asked


def _narrow(execution: ORMExecuteState) -> None:
    studio = acting(execution.session).studio
    reads_or_changes = execution.is_select or execution.is_update or execution.is_delete
    if studio and reads_or_changes and not execution.is_column_load:
        execution.statement = execution.statement.options(*_criteria(studio))


@lru_cache(maxsize=1024)
def _criteria(studio: str) -> Sequence[LoaderCriteriaOption]:
    # Lambdas, since only they are asked anew for every alias of a table.
    rigs = select(_RIGS.c.id).where(_RIGS.c.studio == studio)
    adaptations = select(_ADAPTATIONS.c.id).where(_ADAPTATIONS.c.studio == studio)
    keys = select(_KEYS.c.id).where(_KEYS.c.studio == studio)
    return [
        *(with_loader_criteria(table, lambda row: row.studio == studio, include_aliases=True) for table in OWNED),
        *(with_loader_criteria(table, lambda row: row.rig_id.in_(rigs), include_aliases=True) for table in OF_RIGS),
        *(
            with_loader_criteria(table, lambda row: row.adaptation_id.in_(adaptations), include_aliases=True)
            for table in OF_ADAPTATIONS
        ),
        *(with_loader_criteria(table, lambda row: row.key_id.in_(keys), include_aliases=True) for table in OF_KEYS),
    ]


def _own(session: Session, _context: object, _instances: object) -> None:
    studio = acting(session).studio
    if not studio:
        return
    for row in session.new:
        if isinstance(row, OWNED):
            row.studio = studio if row.studio is None else row.studio
            if row.studio != studio:
                raise AnotherStudio(f"{studio!r} must not write a row of {row.studio!r}")

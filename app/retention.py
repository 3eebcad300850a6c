"""What is kept, and for how long: the policy's own purges, and the bytes that nobody names.

Every worker applies it now and then. Doing so twice, or in several processes at once, changes nothing: each purge is a
transaction of its own that looks again, and bytes go only while no live row names them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

import structlog
from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from app.access.principal import SYSTEM
from app.adaptations.states import FINISHED
from app.artifacts import Artifacts
from app.captures import purging as captures
from app.checkpoints import purging as checkpoints
from app.db import Database
from app.errors import Conflict
from app.keeping import let_go, named
from app.request_frames import purging as request_frames
from app.settings import Settings
from app.tables import AdaptationEventRow, AdaptationPartRow, AdaptationRow, CaptureRow, CheckpointRow, RigRow, utc_now
from app.uploads import forget_abandoned

log = structlog.get_logger(__name__)
Item = TypeVar("Item")

_BATCH = 500
_DELETED_AT_ONCE = 5_000
DETAILS_KEPT = timedelta(days=7)
"""So long after an adaptation its event stream still tells every step of its progress."""
ABANDONED_AFTER = timedelta(days=1)
"""Bytes that no row ever named may belong to something that is still being written; after this long they do not."""


@dataclass(frozen=True)
class Swept:
    """What one round took away: captures, checkpoints and kept frames by policy, and bytes that nobody named."""

    captures: int
    checkpoints: int
    artifacts: int
    request_frames: int = 0


def keep_until(session: Session, rows: Sequence[CaptureRow], settings: Settings) -> dict[str, datetime | None]:
    """When the policy will purge each capture; None where it never will, or has.

    It counts from the last use: the upload, or the end of the last adaptation that used it.
    """
    ids = [row.id for row in rows]
    used = dict(session.execute(_last_uses().where(AdaptationRow.capture_id.in_(ids))).all())
    rigs = session.execute(
        select(RigRow.id, RigRow.capture_retention_days).where(RigRow.id.in_({row.rig_id for row in rows}))
    )
    days = {rig_id: _effective(own, settings.capture_retention_days) for rig_id, own in rigs}
    return {
        row.id: None if row.purged_at else _until(row.created_at, used.get(row.id), days[row.rig_id]) for row in rows
    }


def sweep(database: Database, artifacts: Artifacts, settings: Settings) -> Swept:
    """Purge what the policy lets go, and remove what was left behind; whatever fails is left to the next round."""
    system = database.acting_as(SYSTEM)
    purged = _purge_captures(system, artifacts, settings)
    dropped = _purge_checkpoints(system, artifacts, settings)
    looked_at = request_frames.sweep(system, artifacts, settings.capture_retention_days)
    artifacts.forget_incoming(ABANDONED_AFTER.total_seconds())
    forget_abandoned(settings)
    swept = Swept(purged, dropped, _remove_unnamed(system, artifacts), looked_at)
    _forget_copies(system, artifacts)
    _forget_details(system)
    if swept != Swept(0, 0, 0):
        log.info("retention", **asdict(swept))
    return swept


def _purge_captures(database: Database, artifacts: Artifacts, settings: Settings) -> int:
    count = 0
    for capture_id in list(_due_captures(database, settings)):
        try:
            with database.session() as session:
                row = captures.purge(session, capture_id, "policy")
        except Conflict:
            continue  # an adaptation wants it, so it is being used
        captures.erase(database, artifacts, [row])
        count += 1
    return count


def _due_captures(database: Database, settings: Settings) -> Iterator[str]:
    after = ""
    while True:
        with database.read_session() as session:
            query = select(CaptureRow).where(CaptureRow.purged_at.is_(None), CaptureRow.id > after)
            rows = session.scalars(query.order_by(CaptureRow.id).limit(_BATCH)).all()
            until, now = keep_until(session, rows, settings), _now(session)
        yield from (row.id for row in rows if (end := until[row.id]) is not None and end <= now)
        if len(rows) < _BATCH:
            return
        after = rows[-1].id


def _purge_checkpoints(database: Database, artifacts: Artifacts, settings: Settings) -> int:
    alive = func.count(CheckpointRow.id)
    query = (
        select(RigRow.id, RigRow.checkpoints_kept, alive)
        .join(CheckpointRow, CheckpointRow.rig_id == RigRow.id)
        .where(CheckpointRow.purged_at.is_(None))
        .group_by(RigRow.id, RigRow.checkpoints_kept)
    )
    with database.read_session() as session:
        found = session.execute(query).all()
    count = 0
    for rig_id, own, alive_there in found:
        kept = _effective(own, settings.checkpoints_kept)
        if kept is not None and alive_there > kept:
            with database.session() as session:
                rows = checkpoints.purge_surplus(session, rig_id, kept)
            checkpoints.erase(database, artifacts, rows)
            count += len(rows)
    return count


def _remove_unnamed(database: Database, artifacts: Artifacts) -> int:
    """Remove what only purged rows or parts of finished adaptations name, at once, and what no row names, once old."""
    long_ago, count = utc_now() - ABANDONED_AFTER, 0
    for batch in _batches(artifacts.list()):
        with database.read_session() as session:
            live = named(session, [stored.sha256 for stored in batch])
            dead = [stored for stored in batch if stored.sha256 not in live]
            over = _done_with(session, [stored.sha256 for stored in dead])
        gone = [stored.sha256 for stored in dead if stored.sha256 in over or stored.written_at < long_ago]
        count += len(let_go(database, artifacts, gone))
    return count


def _forget_copies(database: Database, artifacts: Artifacts) -> None:
    """Remove this machine's copies of what was purged from another one."""
    for batch in _batches(artifacts.copies()):
        with database.read_session() as session:
            live = named(session, batch)
        for sha256 in batch:
            if sha256 not in live:
                artifacts.forget_copy(sha256)


def _forget_details(database: Database) -> None:
    """Remove the parts of jobs that finished long ago, and every single report of their progress."""
    for table, kinds in ((AdaptationEventRow, (AdaptationEventRow.kind == "progress",)), (AdaptationPartRow, ())):
        ended = select(AdaptationRow.id).where(AdaptationRow.finished_at < utc_now() - DETAILS_KEPT)
        some = select(table.id).where(table.adaptation_id.in_(ended), *kinds).limit(_DELETED_AT_ONCE)
        while True:
            with database.session() as session:  # short ones: SQLite has one writer
                gone = session.scalars(some).all()
                session.execute(delete(table).where(table.id.in_(gone)))
            if len(gone) < _DELETED_AT_ONCE:
                break


def _done_with(session: Session, digests: Iterable[str]) -> frozenset[str]:
    wanted = list(digests)
    columns = (CaptureRow.labels_sha256, CaptureRow.source_sha256, CheckpointRow.artifact_sha256)
    purged = (select(column).where(column.class_.purged_at.is_not(None), column.in_(wanted)) for column in columns)
    part = AdaptationPartRow.artifact_sha256
    job = (AdaptationRow, AdaptationRow.id == AdaptationPartRow.adaptation_id)
    left = select(part).join(*job).where(AdaptationRow.state.in_(FINISHED), part.in_(wanted))
    return frozenset(sha256 for query in (*purged, left) for sha256 in session.scalars(query) if sha256)


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _last_uses() -> Select[str, datetime]:
    last = func.max(func.coalesce(AdaptationRow.finished_at, AdaptationRow.created_at))
    return select(AdaptationRow.capture_id, last).group_by(AdaptationRow.capture_id)


def _until(created_at: datetime, used_at: datetime | None, days: int | None) -> datetime | None:
    return None if days is None else max(created_at, used_at or created_at) + timedelta(days=days)


def _effective(own: int | None, everywhere: int | None) -> int | None:
    """The rig's own number, else the deployment's; a rig's 0 means without end."""
    return (own or None) if own is not None else everywhere


def _now(session: Session) -> datetime:
    """The time now, and no later than the database believes: one worker's wrong clock must not purge a studio."""
    if session.get_bind().dialect.name != "postgresql":
        return utc_now()
    return min(utc_now(), session.execute(select(func.now())).scalar_one())

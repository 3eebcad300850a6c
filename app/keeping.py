"""Rows and the bytes they name: no live row without its bytes, and no bytes that nothing but purged rows name.

Bytes are shared, as equal ones have one name. So whoever writes a row that names some, and whoever takes away what no
live row names, hold the same lock on the name until their transaction ends: in PostgreSQL an advisory one, in SQLite
the write lock, which every session that may write holds from its beginning.
"""

from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Select, select, text
from sqlalchemy.orm import Session

from app.access.principal import SYSTEM
from app.adaptations.states import FINISHED
from app.artifacts import Artifacts
from app.db import Database
from app.errors import ServiceUnavailable
from app.tables import AdaptationPartRow, AdaptationRow, CaptureRow, CheckpointRow, RequestFrameRow


def keep(session: Session, artifacts: Artifacts, bytes_of: Mapping[str, Callable[[], object]]) -> None:
    """See to it that the bytes which rows of this transaction name are there when it commits.

    ``bytes_of`` stores the bytes of a digest again, where they were purged since they were stored.
    """
    lock(session, bytes_of)
    for sha256, put in bytes_of.items():
        if not artifacts.holds(sha256):
            put()


def let_go(database: Database, artifacts: Artifacts, digests: Iterable[str]) -> list[str]:
    """Delete the bytes that no live row names any more; answers whose were deleted.

    Call it when the transaction that purged the rows has committed: bytes deleted before could be missed after.
    """
    try:
        return [sha256 for sha256 in sorted(set(digests)) if _let_go(database, artifacts, sha256)]
    except ServiceUnavailable as error:
        raise ServiceUnavailable(
            "It is purged, but the artifact store does not answer, so the bytes are still there: they go when it "
            "does. Send this again to be told when they are gone.",
            at="artifacts",
            retry_after_s=10,
        ) from error


def _let_go(database: Database, artifacts: Artifacts, sha256: str) -> bool:
    with database.acting_as(SYSTEM).session() as session:  # the bytes may be another studio's too
        lock(session, [sha256])
        if named(session, [sha256]):
            return False
        artifacts.delete(sha256)
        return True


def named(session: Session, digests: Iterable[str]) -> frozenset[str]:
    """Those digests that live rows name: of captures, checkpoints, kept frames, and parts of unfinished adaptations."""
    wanted = list(digests)
    in_work = AdaptationRow.state.not_in(FINISHED)
    queries: list[Select[str] | Select[str | None]] = [
        select(CaptureRow.labels_sha256).where(CaptureRow.purged_at.is_(None), CaptureRow.labels_sha256.in_(wanted)),
        select(CaptureRow.source_sha256).where(CaptureRow.purged_at.is_(None), CaptureRow.source_sha256.in_(wanted)),
        select(CheckpointRow.artifact_sha256).where(
            CheckpointRow.purged_at.is_(None), CheckpointRow.artifact_sha256.in_(wanted)
        ),
        select(AdaptationPartRow.artifact_sha256)
        .join(AdaptationRow, AdaptationRow.id == AdaptationPartRow.adaptation_id)
        .where(in_work, AdaptationPartRow.artifact_sha256.in_(wanted)),
        select(RequestFrameRow.source_sha256).where(RequestFrameRow.source_sha256.in_(wanted)),
    ]
    return frozenset(sha256 for query in queries for sha256 in session.scalars(query) if sha256)


def lock(session: Session, digests: Iterable[str]) -> None:
    """Hold the lock on these names until the transaction ends."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for sha256 in sorted(digests):  # in one order, so that no two transactions wait for each other
        number = int.from_bytes(bytes.fromhex(sha256[:16]), signed=True)
        session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

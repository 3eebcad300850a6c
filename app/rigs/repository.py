"""Rigs in the database."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound
from app.pagination import PageRequest, fetch_page
from app.tables import AdaptationRow, RigRow

_IN_PATH = "path.rig_id"


def get_rig(session: Session, rig_id: str, at: str = _IN_PATH) -> RigRow:
    """The rig; raises NotFound."""
    row = session.get(RigRow, rig_id) if rig_id.isprintable() else None
    if row is None:
        raise NotFound(f"There is no rig {rig_id!r}.", at=at, code="rig_not_found")
    return row


def get_usable_rig(session: Session, rig_id: str, at: str = _IN_PATH) -> RigRow:
    """The rig, which must not be archived; raises NotFound or Conflict."""
    row = get_rig(session, rig_id, at)
    if row.archived_at is not None:
        raise Conflict(f"The rig {rig_id!r} is archived.", at=at, code="rig_archived")
    return row


def list_rigs(session: Session, page: PageRequest, *, archived: bool) -> tuple[Sequence[RigRow], str | None]:
    """A page of rigs, newest first, either those in use or those archived."""
    is_archived = RigRow.archived_at.is_not(None) if archived else RigRow.archived_at.is_(None)
    return fetch_page(session, select(RigRow).where(is_archived), page, table=RigRow)


def adapting(session: Session, rig_ids: Iterable[str]) -> frozenset[str]:
    """Those of ``rig_ids`` that have an adaptation waiting or running."""
    query = select(AdaptationRow.rig_id).where(
        AdaptationRow.rig_id.in_(list(rig_ids)), AdaptationRow.state.in_(("queued", "running"))
    )
    return frozenset(session.scalars(query.distinct()))

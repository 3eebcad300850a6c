"""How a rig stands, as SQL: conditions that thousands of rigs are filtered, counted and sorted by.

Whatever is rare is found from its own side and once for all rigs: jobs that wait, newest jobs that failed. So a page
costs one pass over the rigs, their active checkpoints and how they are served, and none over large documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, Subquery, and_, case, exists, not_, or_, select
from sqlalchemy.orm import Session, aliased

from app.adaptations.states import State
from app.dashboard.rigs.asked import Show, Sort
from app.poses.rig_serving import DRIFTING_FROM
from app.tables import AdaptationRow, CheckpointRow, RigRow, RigServingRow

Active = aliased(CheckpointRow, name="active")


def newest(job: Any) -> ColumnElement[bool]:
    """Whether no adaptation of the same rig came after ``job``."""
    later = aliased(AdaptationRow)
    return ~exists(select(later.id).where(later.rig_id == job.rig_id, later.created_at > job.created_at))


def _newest_not_promoted(column: Any) -> Select[Any]:
    made = (AdaptationRow, AdaptationRow.id == CheckpointRow.adaptation_id)
    return select(column).join(*made).where(CheckpointRow.promoted.is_(False), newest(AdaptationRow))


IN_USE = RigRow.archived_at.is_(None)
ADAPTING = RigRow.id.in_(select(AdaptationRow.rig_id).where(AdaptationRow.state.in_([State.QUEUED, State.RUNNING])))
FAILED = RigRow.id.in_(select(AdaptationRow.rig_id).where(AdaptationRow.state == State.FAILED, newest(AdaptationRow)))
NOT_PROMOTED = and_(
    RigRow.id.in_(_newest_not_promoted(CheckpointRow.rig_id)),
    # Unless somebody activated it all the same.
    or_(
        RigRow.active_checkpoint_id.is_(None),
        RigRow.active_checkpoint_id.not_in(_newest_not_promoted(CheckpointRow.id)),
    ),
)
NO_CHECKPOINT = RigRow.active_checkpoint_id.is_(None)
RATIO = case(
    (RigServingRow.checkpoint_id == RigRow.active_checkpoint_id, RigServingRow.reprojection_px / Active.held_out_px)
)
DRIFTING = RATIO >= DRIFTING_FROM
NEVER_ASKED = and_(RigRow.active_checkpoint_id.is_not(None), RigServingRow.rig_id.is_(None))

_TROUBLE: Mapping[Show, ColumnElement[bool]] = {
    Show.FAILED: FAILED,
    Show.DRIFTING: DRIFTING,
    Show.NOT_PROMOTED: NOT_PROMOTED,
    Show.NO_CHECKPOINT: NO_CHECKPOINT,
}
STANDING: ColumnElement[str] = case(
    (not_(IN_USE), Show.ARCHIVED.value),
    (ADAPTING, Show.ADAPTING.value),
    *((condition, show.value) for show, condition in _TROUBLE.items()),
    (NEVER_ASKED, Show.NEVER_ASKED.value),
    else_=Show.WELL.value,
)
"""One word for each rig: the first that holds."""

BADGES: Mapping[Show, tuple[str, str]] = {
    Show.FAILED: ("bad", "Failed"),
    Show.DRIFTING: ("warn", "Drifting"),
    Show.NOT_PROMOTED: ("warn", "Not promoted"),
    Show.NO_CHECKPOINT: ("quiet", "No checkpoint"),
    Show.ADAPTING: ("busy", "Adapting"),
    Show.NEVER_ASKED: ("quiet", "Never asked"),
    Show.WELL: ("good", "Well served"),
    Show.ARCHIVED: ("quiet", "Archived"),
}
"""How each standing is told: the badge's class and its word."""

TROUBLES = frozenset(_TROUBLE)
_ALSO: Mapping[Show, ColumnElement[bool]] = {Show.DRIFTING: DRIFTING, Show.NO_CHECKPOINT: NO_CHECKPOINT}
"""What is looked for whatever else holds: a rig that drifts does so also while it is adapted anew."""


def standing_of(session: Session, rig_id: str) -> Show:
    """How one rig stands."""
    return Show(session.execute(standings(STANDING).where(RigRow.id == rig_id)).scalar_one())


def shown(show: Show) -> ColumnElement[bool]:
    """Whether a rig is among those."""
    if show is Show.ALL:
        return IN_USE
    if show is Show.ARCHIVED:
        return not_(IN_USE)
    if show in _ALSO:
        return and_(IN_USE, _ALSO[show])
    return STANDING.in_(_TROUBLE if show is Show.ATTENTION else [show])


def standings(*columns: Any) -> Select[Any]:
    """A select over rigs with their active checkpoint and how they are served."""
    return (
        select(*columns)
        .select_from(RigRow)
        .outerjoin(Active, Active.id == RigRow.active_checkpoint_id)
        .outerjoin(RigServingRow, RigServingRow.rig_id == RigRow.id)
    )


_URGENCY = {show.value: rank for rank, show in enumerate((*_TROUBLE, Show.ADAPTING, Show.NEVER_ASKED, Show.WELL))}
_ORDERS: Mapping[Sort, SQLColumnExpression[Any]] = {
    Sort.ATTENTION: STANDING,
    Sort.NAME: RigRow.search_text,
    Sort.STUDIO: RigRow.studio,
    Sort.JDR: Active.jdr_after,
    Sort.GAIN: Active.jdr_after - Active.jdr_before,
    Sort.REPROJECTION: Active.reprojection_px_after,
    Sort.ERROR_3D: Active.mpjpe_mm_after,
    Sort.ADAPTED: Active.created_at,
    Sort.DRIFT: RATIO,
    Sort.ASKED: RigServingRow.last_request_at,
}


def ordered(conditions: Iterable[ColumnElement[bool]], sort: Sort, *, descending: bool) -> Select[str]:
    """Ids in order, what is unknown last; where rigs are alike, those used lately come first."""
    used, name = RigServingRow.last_request_at.label("used"), RigRow.search_text.label("name")
    found = fenced(standings(RigRow.id, _ORDERS[sort].label("by"), used, name).where(*conditions))
    by = case(_URGENCY, value=found.c.by) if sort is Sort.ATTENTION else found.c.by
    first = by.desc() if descending else by.asc()
    return select(found.c.id).order_by(first.nulls_last(), found.c.used.desc().nulls_last(), found.c.name, found.c.id)


def fenced(query: Select[Any]) -> Subquery:
    """The query as a table whose columns are computed once: OFFSET keeps planners from copying expressions outward."""
    return query.offset(0).subquery()

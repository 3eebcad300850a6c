"""The endpoint of workers."""

from fastapi import APIRouter
from sqlalchemy import select

from app.deps import ReadSessionDep, SettingsDep
from app.problems import responses
from app.tables import AdaptationRow
from app.workers import repository
from app.workers.schemas import Worker, Workers

router = APIRouter(tags=["workers"])


@router.get("/workers", summary="List workers", responses=responses(401))
def list_workers(session: ReadSessionDep, settings: SettingsDep) -> Workers:
    """The workers that reported themselves within a day, the youngest first."""
    rows, now = repository.list_workers(session), repository.clock(session)
    at_work = {row.adaptation_id for row in rows if row.adaptation_id is not None}
    # Asked for as any adaptation is: a key sees what its studio may see.
    visible = set(session.scalars(select(AdaptationRow.id).where(AdaptationRow.id.in_(at_work))))
    return Workers(
        items=[
            Worker.of(
                row,
                alive=repository.is_alive(row, settings.lease_s, now),
                adaptation=row.adaptation_id if row.adaptation_id in visible else None,
            )
            for row in rows
        ]
    )

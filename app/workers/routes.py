"""The endpoint of workers."""

from fastapi import APIRouter, Depends

from app.auth import require_operator
from app.deps import ReadSessionDep, SettingsDep
from app.problems import responses
from app.workers import repository
from app.workers.schemas import Worker, Workers

router = APIRouter(tags=["workers"])


@router.get("/workers", summary="List workers", responses=responses(401, 403), dependencies=[Depends(require_operator)])
def list_workers(session: ReadSessionDep, settings: SettingsDep) -> Workers:
    """The workers that reported themselves within a day, the youngest first; not for the key of a single studio."""
    rows, now = repository.list_workers(session), repository.clock(session)
    return Workers(items=[Worker.of(row, alive=repository.is_alive(row, settings.lease_s, now)) for row in rows])

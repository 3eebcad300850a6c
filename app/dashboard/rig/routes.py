"""The page of a rig, and what keeps it true."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from sqlalchemy.orm import Session

from app.artifacts import Artifacts
from app.dashboard.live import live
from app.dashboard.pages import Page, PageDep
from app.dashboard.rig.acts import router as acts
from app.dashboard.rig.reading import read_rig
from app.deps import ArtifactsDep, DatabaseDep, ReadSessionDep
from app.wire import Id

router = APIRouter(include_in_schema=False)
router.include_router(acts)
Show = Annotated[str, Query(max_length=20, description="what the matrix of pairs shows")]


@router.get("/rigs/{rig_id}")
def page_of_rig(
    rig_id: Id, page: PageDep, session: ReadSessionDep, artifacts: ArtifactsDep, show: Show = ""
) -> HTMLResponse:
    """The whole page."""
    return page.show("rig.html", view=read_rig(session, artifacts, rig_id), show=show)


@router.get("/rigs/{rig_id}/live")
def live_rig(
    rig_id: Id, page: PageDep, database: DatabaseDep, artifacts: ArtifactsDep, show: Show = ""
) -> StreamingResponse:
    """Its changing part."""
    with database.read_session() as session:
        read_rig(session, artifacts, rig_id)  # what is not there is told before the stream begins
    return live(page.request, database, lambda session: part(page, session, artifacts, rig_id, show))


def part(page: Page, session: Session, artifacts: Artifacts, rig_id: str, show: str) -> str:
    """What changes on the page, as it is now."""
    return page.part("_rig.html", view=read_rig(session, artifacts, rig_id), show=show)

"""The pages of adaptations, what keeps them true, and what is done there: the same functions as behind the API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from sqlalchemy.orm import Session

from app.adaptations import service
from app.adaptations.states import State
from app.dashboard.adaptation import listing
from app.dashboard.adaptation.listing import Asked
from app.dashboard.adaptation.reading import TONES, read
from app.dashboard.live import live
from app.dashboard.pages import Page, PageDep
from app.deps import DatabaseDep, QueueDep, ReadSessionDep, SessionDep
from app.pagination import page_request
from app.wire import Id

router = APIRouter(include_in_schema=False)
_ROWS = 50


def asked(
    state: Annotated[State | None, Query()] = None,
    rig: Annotated[str, Query(max_length=40)] = "",
    cursor: Annotated[str, Query(max_length=400)] = "",
) -> Asked:
    """Read the address of the list."""
    return Asked(state, rig if rig.isprintable() else "", cursor)


AskedDep = Annotated[Asked, Depends(asked)]


@router.get("/adaptations")
def list_adaptations(page: PageDep, session: ReadSessionDep, asked: AskedDep) -> HTMLResponse:
    """The whole list."""
    return page.show("adaptations.html", **_listed(session, asked))


@router.get("/live/adaptations")
def live_list(page: PageDep, database: DatabaseDep, asked: AskedDep) -> StreamingResponse:
    """Its changing part."""
    page_request(_ROWS, asked.cursor or None)  # a cursor that nobody gave out is told before the stream begins
    return live(page.request, database, lambda session: page.part("_adaptations.html", **_listed(session, asked)))


@router.get("/adaptations/{adaptation_id}")
def page_of_adaptation(adaptation_id: Id, page: PageDep, session: ReadSessionDep) -> HTMLResponse:
    """The whole page."""
    return page.show("adaptation.html", view=read(session, adaptation_id))


@router.get("/adaptations/{adaptation_id}/live")
def live_adaptation(adaptation_id: Id, page: PageDep, database: DatabaseDep) -> StreamingResponse:
    """Its changing part."""
    with database.read_session() as session:
        service.find(session, adaptation_id)  # what is not there is told before the stream begins
    return live(page.request, database, lambda session: _part(page, session, adaptation_id))


@router.post("/adaptations/{adaptation_id}/cancel")
def cancel(adaptation_id: Id, page: PageDep, session: SessionDep) -> Response:
    """Stop it: at once where it waits, at its next step where it runs."""
    service.cancel(session, adaptation_id)
    if page.wants_part:
        return HTMLResponse(_part(page, session, adaptation_id))
    return RedirectResponse(f"/adaptations/{adaptation_id}", status.HTTP_303_SEE_OTHER)


@router.post("/adaptations/{adaptation_id}/retry")
def retry(adaptation_id: Id, page: PageDep, session: SessionDep, queue: QueueDep) -> Response:
    """Ask for the same again, and go to watch it."""
    row = service.retry(session, queue, adaptation_id, None)
    there = f"/adaptations/{row.id}"
    if page.wants_part:
        return Response(status_code=status.HTTP_204_NO_CONTENT, headers={"HX-Redirect": there})
    return RedirectResponse(there, status.HTTP_303_SEE_OTHER)


def _part(page: Page, session: Session, adaptation_id: str) -> str:
    return page.part("_adaptation.html", view=read(session, adaptation_id))


def _listed(session: Session, asked: Asked) -> dict[str, object]:
    view = listing.read(session, asked, page_request(_ROWS, asked.cursor or None))
    return {"view": view, "tones": TONES, "State": State}

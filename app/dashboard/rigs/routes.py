"""The rigs page at ``/``, and what keeps it true."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from sqlalchemy.orm import Session

from app.dashboard.live import live
from app.dashboard.pages import HEADERS, Page, PageDep
from app.dashboard.rigs.advice import Advice, advice
from app.dashboard.rigs.asked import Asked, AskedDep, Show, Sort
from app.dashboard.rigs.reading import Found, Line, Overview, find, overview
from app.dashboard.rigs.standing import BADGES
from app.deps import DatabaseDep, ReadSessionDep
from app.workers.repository import alive

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class View:
    """All that the template shows."""

    asked: Asked
    overview: Overview
    found: Found
    rows: list[tuple[Line, Advice]]
    stranded: int
    """Adaptations that wait while no worker lives."""

    @classmethod
    def read(cls, session: Session, asked: Asked, silence_s: float) -> "View":
        """Read it."""
        known = overview(session)
        found = find(session, asked, known)
        rows = [(line, advice(line)) for line in found.lines]
        adapting = known.counts[Show.ADAPTING]
        return cls(asked, known, found, rows, adapting if adapting and not alive(session, silence_s) else 0)

    @property
    def troubled(self) -> int:
        """Studios with a rig that needs attention."""
        return sum(1 for _, _, trouble in self.overview.studios if trouble)


def _context(page: Page, session: Session, asked: Asked) -> dict[str, object]:
    silence_s = page.request.app.state.settings.lease_s
    return {"view": View.read(session, asked, silence_s), "badges": BADGES, "Show": Show, "Sort": Sort}


@router.get("/")
def rigs(page: PageDep, session: ReadSessionDep, asked: AskedDep) -> HTMLResponse:
    """The whole page; for htmx the part that another view of it changes."""
    context = _context(page, session, asked)
    if page.request.headers.get("hx-target") == "rigs":
        # Without what a form sends and nobody asked for; what is typed leaves one step to go back, not one a letter.
        how = "HX-Replace-Url" if page.request.headers.get("hx-trigger") == "find" else "HX-Push-Url"
        shown = {how: f"/{asked.query}"}
        return HTMLResponse(page.part("_rigs_part.html", **context), headers=HEADERS | shown)
    return page.show("rigs.html", **context)


@router.get("/live/rigs")
def live_rigs(request: Request, page: PageDep, database: DatabaseDep, asked: AskedDep) -> StreamingResponse:
    """The same part, again and again."""
    return live(request, database, lambda session: _part(page, session, asked))


def _part(page: Page, session: Session, asked: Asked) -> str:
    return page.part("_rigs.html", **_context(page, session, asked))

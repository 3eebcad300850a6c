"""The dashboard's page at ``/``; everything it needs is in the page itself."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.dashboard import repository
from app.deps import ReadSessionDep

router = APIRouter(include_in_schema=False)
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES = Jinja2Templates(env=_ENVIRONMENT)
_HEADERS = {
    # No script at all, styles only from the page itself, and nobody may frame it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@router.get("/")
def dashboard(request: Request, session: ReadSessionDep) -> HTMLResponse:
    """Rigs with their state and scores, and what is running."""
    context = {
        "rigs": repository.rig_cards(session),
        "adaptations": repository.recent_adaptations(session),
    }
    return _TEMPLATES.TemplateResponse(request, "dashboard.html", context, headers=_HEADERS)

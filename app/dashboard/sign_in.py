"""Signing in with an API key, and out again."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request, Response, status
from fastapi.responses import RedirectResponse

from app import audit
from app.access.browser import COOKIE, check_same_origin
from app.access.guard import Guard
from app.access.principal import Principal
from app.auth import require_key
from app.dashboard.pages import NOBODY, Page
from app.db import Database

router = APIRouter(include_in_schema=False)
_MOST = 512


@router.get("/sign-in")
def ask(request: Request, next: str = "/") -> Response:  # noqa: A002 -- the name that people know from addresses
    """The page that asks for a key; where none is needed, the page that was wanted."""
    guard: Guard = request.app.state.guard
    if not guard.keys.required:
        return RedirectResponse(_own(next), status.HTTP_303_SEE_OTHER)
    return Page(request, NOBODY).show("sign_in.html", next=_own(next), refused="")


@router.post("/sign-in")
def sign_in(
    request: Request,
    key: Annotated[str, Form(max_length=_MOST)] = "",
    next: Annotated[str, Form(max_length=2048)] = "/",  # noqa: A002
) -> Response:
    """Give the holder of a good key a cookie that stands for it."""
    check_same_origin(request)
    guard: Guard = request.app.state.guard
    address = request.client.host if request.client is not None else ""
    principal = guard.identify(key.strip(), address)
    if principal is None:
        page = Page(request, NOBODY)
        told = "This key is not known here, has expired or was revoked."
        return page.show("sign_in.html", status.HTTP_401_UNAUTHORIZED, next=_own(next), refused=told)
    response = RedirectResponse(_own(next), status.HTTP_303_SEE_OTHER)
    guard.browsers.give(response, guard.browsers.begin(key.strip()), secure=request.url.scheme == "https")
    database: Database = request.app.state.db
    with database.acting_as(principal).session() as session:
        audit.record(session, "browser.signed_in", principal.key_id, name=principal.name)
    return response


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """Forget the cookie, here and in the browser."""
    check_same_origin(request)
    guard: Guard = request.app.state.guard
    if token := request.cookies.get(COOKIE):
        guard.browsers.end(token)
    response = RedirectResponse("/sign-in", status.HTTP_303_SEE_OTHER)
    response.delete_cookie(COOKIE)
    return response


@router.get("/signed-in", status_code=status.HTTP_204_NO_CONTENT)
def still_signed_in(_principal: Annotated[Principal, Depends(require_key)]) -> None:
    """Asked by a page whose stream ended: whether it was for want of a good key."""


def sign_in_url(wanted: str) -> str:
    """Where to send whoever asks for the page ``wanted`` without a key."""
    return f"/sign-in?next={quote(_own(wanted), safe='/')}"


def _own(wanted: str) -> str:
    """The address within this service; of any other, the first page: nobody is sent elsewhere after signing in."""
    is_own = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if is_own else "/"

"""A problem as a page, where a browser asked for one: programs and scripts get it as JSON, whatever the address."""

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.dashboard.pages import NOBODY, Page
from app.dashboard.sign_in import sign_in_url
from app.problems import MEDIA_TYPE

_KEPT = ("retry-after", "connection")
_PROGRAMS = ("/v1/", "/metrics", "/healthz", "/readyz", "/openapi.json")


class ProblemPages:
    """Holds back what the application answers with a problem, and sends a page, or to the page for signing in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _wants_page(scope):
            await self._app(scope, receive, send)
            return
        problem: list[Message] = []

        async def hold_back(message: Message) -> None:
            if problem or (message["type"] == "http.response.start" and _is_problem(message)):
                problem.append(message)
            else:
                await send(message)

        await self._app(scope, receive, hold_back)
        if problem:
            told = json.loads(b"".join(message.get("body", b"") for message in problem))
            answer = _page(Request(scope), told)
            kept = Headers(raw=problem[0]["headers"])
            answer.headers.update({name: kept[name] for name in _KEPT if name in kept})
            await answer(scope, receive, send)


def _wants_page(scope: Scope) -> bool:
    headers = HTTPConnection(scope).headers
    by_script = "hx-request" in headers or scope["path"].startswith(_PROGRAMS)
    return not by_script and "text/html" in headers.get("accept", "")


def _is_problem(start: Message) -> bool:
    return (b"content-type", MEDIA_TYPE.encode()) in [(name.lower(), value) for name, value in start["headers"]]


def _page(request: Request, problem: dict[str, Any]) -> Response:
    if problem["status"] == 401:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(sign_in_url(wanted if request.method == "GET" else "/"), 303)
    principal = getattr(request.state, "principal", NOBODY)
    return Page(request, principal).show("problem.html", problem["status"], problem=problem)

"""The size of request bodies, bounded while they stream in.

The path alone decides how much may come: a body that is not an upload is read whole, before its sender is known.
"""

import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_response
from app.settings import Settings

_UPLOADS = re.compile(r"POST .*/rigs/[^/]+/(?:captures|poses)|PATCH .*/uploads/[^/]+", re.DOTALL)


class RequestLimits:
    """Refuses a body that says it is too large before it is read, and one that does not say so while it is."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            await problem_response(413, "upload_too_large", _too_large(limit))(scope, receive, send)
            return
        await self._app(scope, _bounded(receive, limit), send)

    def _limit(self, scope: Scope) -> int:
        is_upload = _UPLOADS.fullmatch(f"{scope['method']} {scope['path']}")
        return self._settings.max_upload_bytes if is_upload else self._settings.max_json_bytes


def _bounded(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return receive_bounded


def _too_large(limit: int) -> str:
    return f"The request's body is larger than the {limit:,} bytes taken here."

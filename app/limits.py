"""The size of request bodies, bounded while they stream in."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_response
from app.settings import Settings


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
        headers = Headers(scope=scope)
        limit = self._limit(headers.get("content-type", ""))
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            await problem_response(413, "upload_too_large", _too_large(limit))(scope, receive, send)
            return
        await self._app(scope, _bounded(receive, limit), send)

    def _limit(self, content_type: str) -> int:
        is_upload = content_type.lower().startswith("multipart/form-data")
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

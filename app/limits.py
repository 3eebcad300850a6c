"""The size of requests and the time they take to come, bounded while they stream in; and their count, for each key.

The path decides how much may come. A body that is not an upload is read whole before the door is reached, so one of
more than a few kilobytes is only read where the door will open.
"""

import asyncio
import re
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.usage import Usage, Used
from app.auth import is_stranger
from app.problems import problem_response
from app.settings import Settings

STRANGERS_BYTES = 16 << 10
MAX_HEADERS = 128
MAX_HEADER_BYTES = 32 << 10
_MULTIPART_BYTES = 4096  # around the one part of a bundle's upload
_UPLOADS = re.compile(r"POST .*/rigs/[^/]+/(?:captures|poses)|PATCH .*/uploads/[^/]+", re.DOTALL)


class RequestLimits:
    """Refuses a request whose head is huge, and a body that is, says it will be, or comes too slowly."""

    def __init__(self, app: ASGIApp, settings: Settings, usage: Usage) -> None:
        self._app = app
        self._settings = settings
        self._usage = usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _is_huge(scope):
            detail = f"The request has more than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES:,} bytes of them and path."
            await problem_response(431, "headers_too_large", detail)(scope, receive, send)
            return
        limit = self._limit(scope)
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, 6.1: whoever stands in front may have read another end of this request than we would.
            detail = "The request has both Content-Length and Transfer-Encoding; send one of them."
            await problem_response(400, "bad_request", detail, headers={"Connection": "close"})(scope, receive, send)
            return
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await problem_response(413, "upload_too_large", _too_large(limit))(scope, receive, send)
            return
        body = _Body(receive, limit, self._settings)
        is_small = int(declared) <= STRANGERS_BYTES if declared.isdecimal() else "transfer-encoding" not in headers
        if not is_small and await _is_turned_away(scope):
            body.leave_unread()
        await self._serve(scope, body, send)

    async def _serve(self, scope: Scope, body: "_Body", send: Send) -> None:
        async def send_answer(message: Message) -> None:
            body.is_answered = True
            await send(message)

        try:
            await self._app(scope, body.receive, send_answer)
        finally:
            principal = scope.get("state", {}).get("principal")
            if principal is not None:
                self._usage.count(principal.key_id, Used(requests=1, upload_bytes=body.received))

    def _limit(self, scope: Scope) -> int:
        asked = f"{scope['method']} {scope['path']}"
        if asked == "POST /v1/bundles":
            return self._settings.max_bundle_bytes + _MULTIPART_BYTES
        return self._settings.max_upload_bytes if _UPLOADS.fullmatch(asked) else self._settings.max_json_bytes


class _Body:
    """The body of one request as it comes; ``receive`` takes the place of the server's."""

    def __init__(self, receive: Receive, limit: int, settings: Settings) -> None:
        self._receive = receive
        self._limit = limit
        self._patience_s = settings.body_timeout_s
        self._rate = settings.min_body_rate
        self._waited_s = 0.0
        self._is_whole = self._is_unread = False
        self.received = 0
        self.is_answered = False

    def leave_unread(self) -> None:
        """Have the body look empty."""
        self._is_unread = True

    async def receive(self) -> Message:
        if self._is_unread:
            self._is_unread, self._is_whole = False, True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._is_whole or self.is_answered:  # what comes now is that the client has gone, whenever it goes
            return await self._receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience_s):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow(f"For {self._patience_s:g} s nothing of the request's body came.") from None
        self._waited_s += time.monotonic() - began
        self.received += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        self._check()
        return message

    def _check(self) -> None:
        if self.received > self._limit:
            raise HTTPException(413, _too_large(self._limit))
        # Only the time spent waiting for the client counts, not that in which the disk was waited for.
        is_late = self._waited_s > self._patience_s and not self._is_whole
        if is_late and self.received < self._rate * self._waited_s:
            raise _too_slow(f"The request's body comes slower than {self._rate:,} bytes a second.")


async def _is_turned_away(scope: Scope) -> bool:
    """Whether a body comes from somebody whose key will not do: it is then not read into memory first."""
    return scope["method"] not in {"GET", "HEAD", "OPTIONS"} and await is_stranger(HTTPConnection(scope))


def _is_huge(scope: Scope) -> bool:
    headers = scope["headers"]
    size = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers)
    return len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES


def _too_large(limit: int) -> str:
    return f"The request's body is larger than the {limit:,} bytes taken here."


def _too_slow(detail: str) -> HTTPException:
    return HTTPException(408, detail, headers={"Connection": "close"})

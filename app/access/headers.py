"""The headers that every answer carries: what a browser must not do with it, and that nobody keeps it."""

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""For answers that are no pages: should a browser show one, nothing in it is loaded, run or framed."""
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without any, browsers send forms of our own pages with "Origin: null"
    "Cross-Origin-Resource-Policy": "same-origin",
}
CORS: dict[str, Any] = {
    "allow_methods": ["GET", "HEAD", "POST", "PATCH", "DELETE"],
    "allow_headers": [
        "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "X-Request-ID",
        "Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset",
    ],
    "expose_headers": [
        "ETag", "Location", "Retry-After", "X-Request-ID", "Tus-Resumable", "Upload-Length", "Upload-Offset",
    ],
}  # fmt: skip
"""What pages of the origins that the settings name may send and read; none of them sends cookies."""


class SecurityHeaders:
    """Adds what an answer does not say itself; pages say their own Content-Security-Policy."""

    def __init__(self, app: ASGIApp, hsts_s: int) -> None:
        self._app = app
        tls = {"Strict-Transport-Security": f"max-age={hsts_s}; includeSubDomains"} if hsts_s else {}
        self._headers = {"Content-Security-Policy": API_POLICY, **_ALWAYS, **tls}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        private = scope["path"].startswith("/v1/")

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if private:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_secured)

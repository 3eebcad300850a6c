"""Which names the service answers to, where a deployment says so."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.problems import problem_response

_ALWAYS = {"/healthz", "/readyz"}  # asked by address, from within


class AllowedHosts:
    """Refuses requests for other names than ``hosts``; ``*.studio.example`` stands for all below it."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._names = {host.lower() for host in hosts if not host.startswith("*.")}
        self._endings = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "lifespan" or scope["path"] in _ALWAYS or self._answers_to(scope):
            await self._app(scope, receive, send)
            return
        detail = "The service does not answer to this name; RIGFUSE_ALLOWED_HOSTS lists those it has."
        await problem_response(400, "unknown_host", detail, at="header.host")(scope, receive, send)

    def _answers_to(self, scope: Scope) -> bool:
        name = host_of(HTTPConnection(scope))
        return name in self._names or name.endswith(self._endings)


def host_of(connection: HTTPConnection) -> str:
    """The name by which a client calls the service; empty where it is none."""
    # Not connection.url, which takes the server's own address where it cannot read the header.
    try:
        return (urlsplit(f"//{connection.headers.get('host', '')}").hostname or "").lower()
    except ValueError:  # what stands in the Host header is no host
        return ""

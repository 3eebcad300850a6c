"""The end of an API process in order: not ready at once, no new work, and time for what is under way."""

import asyncio
import socket
import time
from types import FrameType

import structlog
import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_response

LINGER_S = 0.5
"""So long at least a load balancer's question is still answered, with the truth."""
_ALWAYS = {"/healthz", "/readyz", "/metrics"}
_SERVICE_RESTART = 1012
_CUT_AFTER_S = 2  # for connections whose request did not end by itself
_FIRST_WORDS_S = 1.0  # for connections that were taken just before the end and have not asked yet

log = structlog.get_logger(__name__)


class Draining:
    """Whether this process is about to end, and how many requests and WebSockets it still serves."""

    def __init__(self) -> None:
        self.under_way = 0
        self._since: float | None = None
        self._begun = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether no new work is taken."""
        return self._since is not None

    @property
    def lasted_s(self) -> float:
        """How long ago it began."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def begin(self) -> None:
        """Take no new work from now on; safe in a signal handler."""
        self._since = self._since or time.monotonic()

    def wake(self) -> bool:
        """Tell those who wait, from within the event loop; says whether that was news."""
        news = not self._begun.is_set()
        self._begun.set()
        return news

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the process is about to end; False where ``timeout_s`` passed before. For long-lived streams."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._begun.wait()
        except TimeoutError:
            return False


class DrainingGate:
    """Counts what is under way, and once draining has begun lets nothing new in but the questions of operators."""

    def __init__(self, app: ASGIApp, draining: Draining) -> None:
        self._app, self._draining = app, draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] == "lifespan" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
        elif self._draining.begun:
            await self._refuse(scope, receive, send)
        else:
            self._draining.under_way += 1
            try:
                await self._app(scope, receive, self._closing(send))
            finally:
                self._draining.under_way -= 1

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _SERVICE_RESTART, "reason": "the service is about to end"})
            return
        headers = {"Retry-After": "2", "Connection": "close"}
        detail = "This process is about to end and takes no new work; ask again in a moment."
        await problem_response(503, "draining", detail, headers=headers)(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        """An answer given while draining is the last of its connection."""

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._draining.begun:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        return send_closing


class DrainingServer(uvicorn.Server):
    """Uvicorn that goes on for a while after SIGTERM: the first signal begins to drain, the second ends at once."""

    def __init__(self, config: uvicorn.Config, draining: Draining, drain_s: float) -> None:
        config.timeout_graceful_shutdown = _CUT_AFTER_S
        super().__init__(config)
        self._draining, self._drain_s = draining, drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's own signature
        """Begin to drain; uvicorn's own way would end the process by the signal, and not with 0."""
        if self._draining.begun:
            self.force_exit = self.should_exit = True
        self._draining.begin()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end."""
        draining = self._draining
        if draining.begun:
            if draining.wake():
                log.info("draining", under_way=draining.under_way, within_s=self._drain_s)
            idle = draining.under_way == 0 and draining.lasted_s >= LINGER_S
            if idle or draining.lasted_s >= self._drain_s:
                log.info("drained", cut=draining.under_way, seconds=round(draining.lasted_s, 1))
                self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no connection any more, and answer who came just before; then end as uvicorn does."""
        for server in self.servers:
            server.close()
        until = time.monotonic() + (0 if self.force_exit else _FIRST_WORDS_S)
        while time.monotonic() < until and any(_silent(each) for each in self.server_state.connections):
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def _silent(connection: object) -> bool:
    """Whether an HTTP connection has not been asked anything yet."""
    return hasattr(connection, "cycle") and connection.cycle is None

"""How uvicorn listens: with a bound on everything that a client may keep waiting."""

import asyncio
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.limits import MAX_HEADER_BYTES
from app.settings import Settings

LINGER_S = 10.0
"""So long the rest of a refused body may still come, so that its client lives to read the answer."""
_FILES = 65_536


def server_options(settings: Settings) -> dict[str, Any]:
    """What to give to uvicorn.Config beside the application and its address."""
    return {
        "http": _bounded_by(settings.header_timeout_s),
        "h11_max_incomplete_event_size": MAX_HEADER_BYTES,
        "limit_concurrency": settings.max_connections,
        "forwarded_allow_ips": settings.trusted_proxies,
        "server_header": False,
    }


def allow_many_files() -> None:
    """Let this process have as many connections open as the system allows; the usual 1024 is soon full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 where the head of a request, and what is left of a body once it was answered, must come in time."""

    head_timeout_s = 10.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A client came; its first request must follow."""
        super().connection_made(transport)
        self._end_in(self.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        """Something came: while it is a part of a head, the time runs on."""
        if self._timer is None and self.conn.their_state is h11.IDLE:
            self._end_in(self.head_timeout_s)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE and not self._is_answered:
            self._go_on()

    def on_response_complete(self) -> None:
        """The answer is out; where the request is not yet wholly in, its rest must come in time."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._end_in(LINGER_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went."""
        self._go_on()
        super().connection_lost(exc)

    @property
    def _is_answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _end_in(self, seconds: float) -> None:
        self._go_on()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _bounded_by(head_timeout_s: float) -> type[BoundedProtocol]:
    return type("BoundedProtocol", (BoundedProtocol,), {"head_timeout_s": head_timeout_s})

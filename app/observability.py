"""One middleware around every request: its id, its log line, its metrics, and a problem instead of a traceback."""

import contextlib
import logging
import re
import secrets
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO, cast

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, WrappedLogger

from app import tracing
from app.metrics import Metrics
from app.problems import problem_response
from app.redaction import redact

log = structlog.get_logger("app.request")

REQUEST_ID = "X-Request-ID"
_ACCEPTABLE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_QUIET = {"/healthz", "/readyz", "/metrics"}
_LONGEST_PATH = 200


@dataclass
class _Request:
    """What is known of the request at hand; one object for all the threads that work on it."""

    scope: Scope
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    started: float = field(default_factory=time.perf_counter)

    def facts(self) -> dict[str, Any]:
        """The names of what the request is about, and whose it is; never what it carries."""
        ids = self.scope.get("path_params", {}).items()
        principal = self.scope.get("state", {}).get("principal")
        return {
            **{name.removesuffix("_id"): str(value)[:64] for name, value in ids if name.endswith("_id")},
            **({"key": principal.key_id} if principal is not None else {}),
            **({"trace_id": trace_id} if (trace_id := tracing.trace_id()) else {}),
        }


_current: ContextVar[_Request | None] = ContextVar("request", default=None)


def _add_facts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request = _current.get()
    return event if request is None else {**request.facts(), **event}


class LogStream:
    """Standard output or error, where a line that cannot be written is dropped.

    A log may lie on the disk that is full, and what fails to say so must not stop what it speaks of.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name

    def write(self, text: str) -> None:
        """Write, or not."""
        with contextlib.suppress(OSError):
            getattr(sys, self._name).write(text)

    def flush(self) -> None:
        """Flush, or not."""
        with contextlib.suppress(OSError):
            getattr(sys, self._name).flush()


_COMMON: list[Any] = [
    structlog.contextvars.merge_contextvars,
    _add_facts,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logging(log_format: str) -> None:
    """Send structured logs to standard output, as JSON lines or for a console; does nothing when already set up."""
    if not structlog.is_configured():
        out = structlog.PrintLoggerFactory(cast("TextIO", LogStream("stdout")))
        structlog.configure(processors=[*_COMMON, *_finish(log_format)], logger_factory=out)


def configure_standard_logging(log_format: str) -> None:
    """Send what uvicorn, Celery and other libraries log to the same place in the same form; for a whole process."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_COMMON, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_finish(log_format)],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    # A WebSocket that was refused with an answer of its own looks unfinished to uvicorn.
    return "without completing handshake" not in str(record.msg)


def _finish(log_format: str) -> list[Any]:
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer = console if log_format == "console" else structlog.processors.JSONRenderer()
    return [structlog.processors.format_exc_info, redact, renderer]


def _template(scope: Scope) -> str:
    """The path with its parameters' names for their values, so that ids never become label values."""
    if "route" not in scope:
        return "unmatched"
    names = {str(value): name for name, value in scope.get("path_params", {}).items()}
    return "/".join(f"{{{names[step]}}}" if step in names else step for step in scope["path"].split("/"))


class RequestContext:
    """Pure ASGI, so that streamed answers stay streams."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _ACCEPTABLE_ID.fullmatch(given) else secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        request = _Request(scope)
        token = _current.set(request)
        try:
            await self._serve(request, receive, send, request_id)
        finally:
            self._record(request)
            _current.reset(token)

    async def _serve(self, request: _Request, receive: Receive, send: Send, request_id: str) -> None:
        async def receive_counted() -> Message:
            message = await receive()
            request.bytes_in += _size(message)
            return message

        async def send_counted(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                request.status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            elif message["type"] == "websocket.accept":
                request.status = 101
            request.bytes_out += _size(message)
            await send(message)

        try:
            await self._app(request.scope, receive_counted, send_counted)
        except Exception:
            log.exception("request_crashed", method=_method(request.scope), route=_template(request.scope))
            if request.status or request.scope["type"] != "http":
                raise  # half an answer is out already: only a broken connection can tell the client
            detail = f"Something went wrong inside the service. The log tells more under {request_id}."
            await problem_response(500, "internal_error", detail)(request.scope, receive, send_counted)

    def _record(self, request: _Request) -> None:
        scope, seconds = request.scope, time.perf_counter() - request.started
        route = _template(scope)
        if scope["type"] == "http":  # a WebSocket lives as long as its client likes
            self._metrics.observe_request(scope["method"], route, request.status, seconds)
        if route in _QUIET:
            return
        sizes = {"bytes_in": request.bytes_in, "bytes_out": request.bytes_out}
        where = {"path": scope["path"][:_LONGEST_PATH]} if route == "unmatched" else {}
        line = {"method": _method(scope), "route": route, **where, "status": request.status, **sizes}
        log.info("request", **line, ms=round(seconds * 1000, 1))


def _method(scope: Scope) -> str:
    return str(scope.get("method", "WEBSOCKET"))


def _size(message: Message) -> int:
    text = message.get("text")
    return len(message.get("body") or message.get("bytes") or b"") + (len(text) if text else 0)

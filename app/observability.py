"""One middleware around every request: its id, its log line, its metrics, and a problem instead of a traceback."""

import logging
import re
import secrets
import sys
import time
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics
from app.problems import problem_response

log = structlog.get_logger("app.request")

REQUEST_ID = "X-Request-ID"
_ACCEPTABLE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_COMMON: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_QUIET = {"/healthz", "/readyz", "/metrics"}


def configure_logging(log_format: str) -> None:
    """Send structured logs to standard output, as JSON lines or for a console; does nothing when already set up."""
    if not structlog.is_configured():
        structlog.configure(processors=[*_COMMON, structlog.processors.format_exc_info, _renderer(log_format)])


def configure_standard_logging(log_format: str) -> None:
    """Send what uvicorn, Celery and other libraries log to the same place in the same form; for a whole process."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_COMMON, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _renderer(log_format),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)


def _renderer(log_format: str) -> Any:
    return structlog.dev.ConsoleRenderer() if log_format == "console" else structlog.processors.JSONRenderer()


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
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _ACCEPTABLE_ID.fullmatch(given) else secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        await self._serve(scope, receive, send, request_id)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        status = 0
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request_crashed", method=scope["method"], path=scope["path"])
            if status:  # half an answer is out already: only a broken connection can tell the client
                raise
            detail = f"Something went wrong inside the service. The log tells more under {request_id}."
            await problem_response(500, "internal_error", detail)(scope, receive, send_with_id)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = _template(scope)
        self._metrics.observe_request(scope["method"], route, status, seconds)
        if route not in _QUIET:
            milliseconds = round(seconds * 1000, 1)
            log.info("request", method=scope["method"], path=scope["path"], status=status, ms=milliseconds)

"""OpenTelemetry traces where a deployment asks for them; without that, every span here costs next to nothing.

The API is a dependency of FastAPI, which makes the spans of requests itself; only the SDK, which sends them, is extra.
An adaptation's row keeps the ``traceparent`` of the request that asked for it, so that its worker joins that trace.
"""
# ruff: noqa: PLC0415 - the SDK is imported where traces are asked for, and needs not be installed elsewhere

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

import structlog
from fastapi.telemetry import TelemetryConfig
from opentelemetry import context as telemetry_context
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes
from starlette.types import Scope

from app.errors import MisconfiguredService

ASKED_BY = ("RIGFUSE_OTEL", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NO = {"", "0", "false", "no", "off"}
_PATIENCE_S = 5.0
_UNTRACED = {"/healthz", "/readyz", "/metrics"}

log = structlog.get_logger(__name__)
_tracer = trace.get_tracer("rigfuse")
_propagator = TraceContextTextMapPropagator()


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment asks for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return any(environment.get(name, "").lower() not in _NO for name in ASKED_BY)


def configure(service: str) -> None:
    """Send this process's spans to the collector that the environment names; does nothing where none is wanted."""
    if not wanted():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MisconfiguredService(
            "Traces are asked for, and the OpenTelemetry SDK is not installed: pip install 'rigfuse[otel]'.",
            at=next(name for name in ASKED_BY if name in os.environ),
        ) from error

    class Discreet(SpanProcessor):
        """What a client put behind the question mark stays out of traces: it may be a key in the wrong place."""

        def on_start(self, span: Span, parent_context: telemetry_context.Context | None = None) -> None:  # noqa: ARG002
            if span.attributes and "url.query" in span.attributes:
                span.set_attribute("url.query", "")

    resource = Resource.create({"service.name": service, "service.version": version("rigfuse")})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(Discreet())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    log.info("tracing", service=service)


def of_requests() -> TelemetryConfig:
    """How FastAPI is to trace: its requests and WebSockets, under our provider, and nothing of what they carry."""
    return TelemetryConfig(
        tracing=True, metrics=False, logs=False, operation_spans=False, auto_configure=False, exclude=_is_probe
    )


@contextmanager
def span(name: str, attributes: Attributes = None) -> Iterator[None]:
    """A stage of the work at hand."""
    with _tracer.start_as_current_span(name, attributes=attributes):
        yield


@contextmanager
def continued(traceparent: str | None, name: str, attributes: Attributes = None) -> Iterator[None]:
    """A span that belongs to the trace of another process, or begins one of its own where there is none."""
    carrier = {"traceparent": traceparent} if traceparent else {}
    token = telemetry_context.attach(_propagator.extract(carrier))
    try:
        with span(name, attributes):
            yield
    finally:
        telemetry_context.detach(token)


class Backdated:
    """Spans of work that was timed already, under the one that was current when this was made; for any thread."""

    def __init__(self) -> None:
        self._parent = telemetry_context.get_current()
        self._recording = trace.get_current_span(self._parent).is_recording()

    def add(self, name: str, seconds: float) -> None:
        """Something took so long and ended now."""
        if self._recording:
            now = time.time_ns()
            _tracer.start_span(name, context=self._parent, start_time=now - int(seconds * 1e9)).end(now)


class Stages:
    """Stages that follow one another, each a span under the one that is current when the first begins."""

    def __init__(self) -> None:
        self._parent = telemetry_context.get_current()
        self._stage = ""
        self._span: trace.Span | None = None

    def enter(self, stage: str) -> None:
        """Begin this stage where it has not begun yet, and end the one before."""
        if stage != self._stage:
            self.end()
            self._stage, self._span = stage, _tracer.start_span(stage, context=self._parent)

    def end(self) -> None:
        """End the last stage."""
        if self._span is not None:
            self._span.end()
        self._stage, self._span = "", None


def traceparent() -> str | None:
    """What to hand to another process so that its spans join this trace; None where nothing is traced."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def trace_id() -> str | None:
    """The trace at hand, for the log."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else None


def shut_down() -> None:
    """Send what is left; at the end of a process, which a collector that is silent holds up for seconds only."""
    end = getattr(trace.get_tracer_provider(), "shutdown", None)
    if end is not None:  # it sends what is left, too
        last = threading.Thread(target=end, name="last-spans", daemon=True)
        last.start()
        last.join(_PATIENCE_S)


def _is_probe(scope: Scope) -> bool:
    return scope.get("path") in _UNTRACED

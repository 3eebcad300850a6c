"""Traces where nobody asked for them, or where they cannot be; tests/e2e follows real ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from app import tracing
from app.errors import MisconfiguredService

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"RIGFUSE_OTEL": "1"}, True),
        ({"RIGFUSE_OTEL": "off"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"RIGFUSE_OTEL": "1", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_who_asks_for_traces(environment: dict[str, str], wanted: bool) -> None:
    assert tracing.wanted(environment) is wanted


def test_without_anyone_asking_spans_are_nothing() -> None:
    stages, past = tracing.Stages(), tracing.Backdated()
    with tracing.continued(None, "job"), tracing.span("stage"):
        stages.enter("learn")
        past.add("fuse", 0.1)
        assert tracing.traceparent() is None
        assert tracing.trace_id() is None
    stages.end()
    tracing.shut_down()


def test_a_given_parent_is_handed_on_even_where_nothing_is_traced() -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    with tracing.continued(parent, "job"):
        assert tracing.traceparent() == parent
        assert tracing.trace_id() == "a" * 32


def test_traces_without_the_sdk_are_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGFUSE_OTEL", "1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MisconfiguredService, match=r"pip install 'rigfuse\[otel\]'") as refused:
        tracing.configure("test")
    assert refused.value.at == "RIGFUSE_OTEL"


def test_a_collector_that_is_silent_holds_no_process_up() -> None:
    program = (
        "import socket, time; silent = socket.create_server(('127.0.0.1', 0)); import os; "
        "os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] = f'http://127.0.0.1:{silent.getsockname()[1]}'; "
        "from app import tracing; tracing._PATIENCE_S = 0.5; tracing.configure('test')\n"
        "with tracing.span('a'): pass\n"
        "began = time.monotonic(); tracing.shut_down(); print(time.monotonic() - began)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0.4 < float(done.stdout.splitlines()[-1]) < 4

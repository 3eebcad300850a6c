"""One adaptation followed through API and worker: by its request's id in the logs, and by its trace."""

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest
from embedded_service import ROOT, RunningService, wait_until
from otlp import Collector, Span
from shoots import Shoot, shoot

REQUEST = "follow-me-0001"


@pytest.fixture(scope="module")
def followed(shared_service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shoot, str]:
    """A shoot, and an adaptation of it that was asked for under a request id of our own."""
    with shared_service.client() as client:
        made = shoot(client, tmp_path_factory.mktemp("shoot"))
        answer = httpx.post(
            f"{shared_service.url}/v1/rigs/{made.rig_id}/adaptations",
            json={"capture": made.capture, "options": {"steps": 0}},
            headers={"X-Request-ID": REQUEST},
            timeout=30,
        )
        job = client.wait(answer.json()["id"])
        assert job.state == "succeeded", job.error
    return made, job.id


def lines(service: RunningService, program: str) -> list[dict[str, Any]]:
    text = (service.data_dir / f"logs/{program}.log").read_text()
    return [json.loads(line) for line in text.splitlines() if REQUEST in line]


def test_one_grep_follows_a_job_through_api_and_worker(
    shared_service: RunningService, followed: tuple[Shoot, str]
) -> None:
    made, job = followed
    (asked,) = (line for line in lines(shared_service, "api") if line["event"] == "request")
    assert (asked["route"], asked["status"]) == ("/v1/rigs/{rig_id}/adaptations", 202)
    assert (asked["rig"], asked["key"]) == (made.rig_id, "local")
    assert asked["bytes_in"] > 0 < asked["bytes_out"]
    assert asked["trace_id"]
    worked = lines(shared_service, "worker")
    assert {"adaptation claimed", "adaptation succeeded"} <= {line["event"] for line in worked}
    for line in worked:
        assert (line["adaptation"], line["rig"], line["attempt"]) == (job, made.rig_id, 1)


def test_the_spans_of_api_and_worker_are_one_trace(
    shared_service: RunningService, followed: tuple[Shoot, str], collector: Collector
) -> None:
    def of_worker() -> list[Span]:
        return [span for span in collector.spans if span.attributes.get("rigfuse.adaptation") == followed[1]]

    wait_until(lambda: len(of_worker()) == 1, 20)
    (work,) = of_worker()
    (asked,) = (span for span in collector.spans if span.span == work.parent)
    assert (work.service, work.name) == ("rigfuse-worker", "adaptation")
    assert (asked.service, asked.name) == ("rigfuse-api", "POST /v1/rigs/{rig_id}/adaptations")
    assert asked.trace == work.trace
    stages = {span.name for span in collector.spans if span.parent == work.span}
    assert len(stages) >= 2


def test_the_doctor_finds_the_running_service_well(shared_service: RunningService, followed: tuple[Shoot, str]) -> None:
    options = ["--data-dir", shared_service.data_dir, "--deep", "--json", "--url", shared_service.url]
    command = [sys.executable, "-m", "app.cli", "doctor", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (shared_service.data_dir / "broker-url").stat().st_mode & 0o777 == 0o600
    told = json.loads(done.stdout)
    assert (done.returncode, told["healthy"]) == (0, True), done.stdout
    marks = {finding["check"]: finding["mark"] for finding in told["findings"]}
    assert marks["workers"] == marks["API"] == marks["stored bytes"] == "good"

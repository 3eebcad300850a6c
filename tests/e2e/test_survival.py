"""What a job survives: dying workers, brokers, launchers and machines; and what `rigfuse up` leaves behind: nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from embedded_service import ROOT, RunningService, wait_until
from shoots import shoot

from app.adaptations.schemas import Adaptation
from app.client import Event, RigFuseClient

A_WHILE = {"steps": 40}


@pytest.fixture(scope="module")
def one_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service that all tests here hurt, one after another; nothing of it is left afterwards."""
    service = RunningService(tmp_path_factory.mktemp("hurt") / "data")
    yield service
    service.kill_everything()


@pytest.fixture
def service(one_of_all: RunningService) -> RunningService:
    """It, ready: whoever ended it leaves it to the next to start it again."""
    if one_of_all.url and one_of_all.exited is None:
        wait_until(lambda: len(one_of_all.processes()) == 4 and is_ready(one_of_all), within_s=60)
    else:
        one_of_all.up()
    return one_of_all


def is_ready(service: RunningService) -> bool:
    """Whether all that the API needs answers it."""
    try:
        return httpx.get(f"{service.url}/readyz", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def start_and_wait_until_it_runs(client: RigFuseClient, folder: Path) -> Adaptation:
    """A job that is in the middle of its work."""
    made = shoot(client, folder)
    job = client.adapt(made.rig_id, made.capture, options=A_WHILE)
    next(event for event in client.events(job.id) if event.data.get("stage") == "finetune")
    return client.adaptation(job.id)


def assert_ended_once(client: RigFuseClient, job: Adaptation, attempts: int) -> None:
    """It succeeded, with one checkpoint, in that many attempts."""
    ended = client.wait(job.id)
    assert ended.state == "succeeded", ended.error
    assert ended.attempt == attempts
    assert [checkpoint.id for checkpoint in client.checkpoints(job.rig)] == [ended.checkpoint]
    assert [event.kind for event in client.events(job.id)].count("succeeded") == 1
    assert client.rig(job.rig).active_checkpoint in {None, ended.checkpoint}


def reasons(client: RigFuseClient, job: Adaptation) -> list[str]:
    """Why it was queued again."""
    return [event.data["reason"] for event in client.events(job.id) if "reason" in event.data]


def test_a_killed_worker_is_replaced_and_the_job_ends_once(service: RunningService, tmp_path: Path) -> None:
    with service.client() as client:
        job = start_and_wait_until_it_runs(client, tmp_path)
        killed = service.child("-m worker ")
        service.kill("-m worker ")
        assert_ended_once(client, job, attempts=2)
        assert reasons(client, job) == ["The worker died."]
        assert service.child("-m worker ") != killed
    assert "worker died" in service.said


def test_a_killed_api_is_back_on_its_port_and_who_waits_hears_on(service: RunningService, tmp_path: Path) -> None:
    with service.client() as client:
        job = start_and_wait_until_it_runs(client, tmp_path)
        heard = []

        def kill_once(event: Event) -> None:
            if not heard:
                service.kill("app.cli api")
            heard.append(event.id)

        assert client.wait(job.id, kill_once).state == "succeeded"
        assert heard == [event.id for event in client.events(job.id)]  # all of it, and nothing twice
    assert "api died" in service.said


def test_a_job_posted_while_the_broker_is_down_runs_when_it_is_back(service: RunningService, tmp_path: Path) -> None:
    with service.client() as client:
        made = shoot(client, tmp_path)
        log = service.data_dir / "logs/api.log"
        before = log.stat().st_size
        os.kill(service.child("valkey-server"), signal.SIGKILL)
        job = client.adapt(made.rig_id, made.capture, options={"steps": 3})  # answered, though nobody was woken
        assert job.state == "queued"
        assert "the sweeper will send this job" in log.read_bytes()[before:].decode()
        assert_ended_once(client, job, attempts=1)


def test_a_job_that_runs_while_the_broker_dies_ends_once(service: RunningService, tmp_path: Path) -> None:
    with service.client() as client:
        job = start_and_wait_until_it_runs(client, tmp_path)
        os.kill(service.child("valkey-server"), signal.SIGKILL)
        assert_ended_once(client, job, attempts=1)
        after = client.adapt(job.rig, job.capture, options={"steps": 0})  # and the worker is still listening
        assert client.wait(after.id).state == "succeeded"


def test_a_data_directory_serves_one_launcher(service: RunningService) -> None:
    port = service.url.rpartition(":")[2]
    second = run_up(service.data_dir, "0")
    assert second.returncode == 1
    assert "in use by another `rigfuse up`" in second.stderr
    assert str(service.launcher) in second.stderr

    taken = run_up(service.data_dir.parent / "other", port)
    assert taken.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in taken.stderr


def test_after_a_power_cut_the_job_ends_once(service: RunningService, tmp_path: Path) -> None:
    with service.client() as client:
        job = start_and_wait_until_it_runs(client, tmp_path)
    service.kill_everything()

    service.up()
    with service.client() as client:
        assert_ended_once(client, job, attempts=2)
        assert reasons(client, job) == ["The worker died."]


def test_an_orderly_end_gives_the_job_back_and_leaves_no_process(service: RunningService, tmp_path: Path) -> None:
    with service.client() as client:
        job = start_and_wait_until_it_runs(client, tmp_path)
    assert service.down() == 0
    assert service.processes() == {}

    service.up()
    with service.client() as client:
        assert_ended_once(client, job, attempts=1)  # what was given back was no failure
        assert reasons(client, job) == ["The worker was stopped."]


def test_no_child_outlives_a_killed_launcher(service: RunningService) -> None:
    assert len(service.processes()) == 4
    service.kill_launcher()
    wait_until(lambda: service.processes() == {}, within_s=5)


def test_without_keys_it_refuses_to_listen_to_the_network(tmp_path: Path) -> None:
    refused = run_up(tmp_path / "data", "0", "--host", "0.0.0.0")  # noqa: S104 - that is the point
    assert refused.returncode == 1
    assert "RIGFUSE_API_KEYS" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_packages_that_lie_around_are_not_taken_for_its_own(tmp_path: Path) -> None:
    for name in ("app", "worker", "models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('this is not ours')")
    script = tmp_path / "bin/rigfuse"
    script.parent.mkdir()
    script.write_text("from app.cli import main\nmain()\n")  # as an installed command, which does not look around
    service = RunningService(tmp_path / "data")
    service.command, service.folder = [sys.executable, str(script)], tmp_path
    try:
        service.up()
        assert len(service.processes()) == 4
        assert service.down() == 0
    finally:
        service.kill_everything()


def run_up(data_dir: Path, port: str, *more: str) -> "subprocess.CompletedProcess[str]":
    """`rigfuse up` where it is expected to refuse."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")}
    command = [sys.executable, "-m", "app.cli", "up", "--data-dir", str(data_dir), "--port", port, *more]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_ends_it_in_order(service: RunningService, number: signal.Signals) -> None:
    logs = {name: service.data_dir / f"logs/{name}.log" for name in ("api", "broker")}
    before = {name: path.stat().st_size for name, path in logs.items()}
    os.kill(service.launcher, number)
    assert service.down() == 0
    assert service.processes() == {}
    said = {name: path.read_bytes()[before[name] :].decode() for name, path in logs.items()}
    assert "Application shutdown complete" in said["api"]
    assert "bye bye" in said["broker"]

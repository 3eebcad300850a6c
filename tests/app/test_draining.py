"""The end of an API process under load: nothing that was accepted is cut, and the exit is 0."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import payloads
import pytest
from job_rows import add_job
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from app.db import Database
from app.settings import Settings
from models.worlds import World

ROOT = Path(__file__).parents[2]


@pytest.fixture
def process(redis_url: str, tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")}
    environment |= {
        "RIGFUSE_DATA_DIR": str(tmp_path), "RIGFUSE_ENVIRONMENT": "embedded", "RIGFUSE_BROKER_URL": redis_url,
        "RIGFUSE_DRAIN_S": "15", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "app.cli", "api", "--port", str(port)]
        child = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: child.poll() is not None or is_up(url), 60)
        assert child.poll() is None, (tmp_path / "log").read_text()
        yield child, url
    finally:
        child.kill()
        child.wait(10)


def is_up(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    return False


def wait_until(condition: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


class Load:
    """Clients that ask for poses, each on a connection of its own, until no process takes it."""

    def __init__(self, url: str, rig: str, world: World) -> None:
        self.statuses: Counter[int] = Counter()
        self.cut: list[str] = []
        self._url, self._body = f"{url}/v1/rigs/{rig}/poses", payloads.heatmaps(world)
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while True:
            try:
                answer = httpx.post(self._url, files=payloads.files(heatmaps=self._body), timeout=60)
            except httpx.ConnectError:
                return  # never accepted
            except httpx.TransportError as error:
                self.cut.append(repr(error))
                return
            self.statuses[answer.status_code] += 1

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)


def test_nothing_accepted_is_cut_when_the_process_ends(
    process: tuple["subprocess.Popen[bytes]", str], world: World, tmp_path: Path
) -> None:
    child, url = process
    settings = Settings(data_dir=tmp_path, environment="embedded")
    with httpx.Client(base_url=url, timeout=60) as client:
        rig = str(client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"])
        database = Database(settings.database_url)
        job = add_job(database, rig_id=rig)
        database.dispose()
        streamed: list[str] = []
        live = connect(f"{url.replace('http', 'ws')}/v1/rigs/{rig}/live")
        with live as socket_, client.stream("GET", f"/v1/adaptations/{job}/events") as stream:
            follower = threading.Thread(target=lambda: streamed.extend(stream.iter_lines()))
            follower.start()
            load = Load(url, rig, world)
            upload = Upload(url, rig, world)
            wait_until(lambda: load.statuses[200] >= 5, 60)
            child.send_signal(signal.SIGTERM)
            assert wait_for_draining(url) == (503, "draining")
            with pytest.raises(ConnectionClosed) as closed:
                socket_.recv(20)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            assert upload.finish() == 201
            follower.join(20)
            assert not follower.is_alive()  # the stream ended, though the job has not
        load.join()
    assert child.wait(30) == 0
    assert load.cut == []
    assert set(load.statuses) == {200, 503}
    log = (tmp_path / "log").read_text()
    assert '"event": "drained"' in log
    assert '"cut": 0' in log


def wait_for_draining(url: str) -> tuple[int, str]:
    deadline = time.monotonic() + 10
    while (answer := httpx.get(f"{url}/readyz", timeout=10)).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    return answer.status_code, answer.json()["code"]


class Upload:
    """A capture whose second half is sent only when asked for."""

    def __init__(self, url: str, rig: str, world: World) -> None:
        self._half_way, self._go_on, self._status = threading.Event(), threading.Event(), 0
        sent = payloads.capture(world)
        request = httpx.Request("POST", f"{url}/v1/rigs/{rig}/captures", files=sent)
        body, headers = request.read(), request.headers
        half = len(body) // 2

        def halves() -> Iterator[bytes]:
            yield body[:half]
            self._half_way.set()
            self._go_on.wait(60)
            yield body[half:]

        def send() -> None:
            self._status = httpx.post(request.url, content=halves(), headers=headers, timeout=60).status_code

        self._thread = threading.Thread(target=send)
        self._thread.start()
        assert self._half_way.wait(60)

    def finish(self) -> int:
        self._go_on.set()
        self._thread.join(60)
        return self._status

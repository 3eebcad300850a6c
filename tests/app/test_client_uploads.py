"""Uploads through the client that go on where they broke off: the API is killed in the middle of one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import payloads
import pytest
from running import Service, serving

from app.client import ApiError, RigFuseClient
from app.settings import Settings
from models.worlds import World

ROOT = Path(__file__).parents[2]
SIZE, KILLED_AT = 24_000_000, 12_000_000


class Api:
    """`rigfuse api` in a process of its own, which can be killed and started again at the same address."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RIGFUSE_")},
            "RIGFUSE_DATA_DIR": str(folder), "RIGFUSE_ENVIRONMENT": "embedded", "RIGFUSE_PORT": str(port),
            "RIGFUSE_BROKER_URL": broker_url,
        }  # fmt: skip
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "app.cli", "api"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def api(tmp_path: Path, redis_url: str) -> Iterator[Api]:
    started = Api(tmp_path / "data", redis_url)
    yield started
    started.kill()


def test_an_upload_goes_on_when_the_api_was_killed_in_the_middle_of_it(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "frames.zip"
    file.write_bytes(os.urandom(SIZE))
    told: list[int] = []
    killed: list[int] = []

    def tell(sent: int, total: int) -> None:
        assert total == SIZE
        told.append(sent)
        if not killed and sent >= KILLED_AT:
            api.kill()
            api.start()
            killed.append(len(told))

    with RigFuseClient(api.url) as client:
        while not client.ready():
            assert api.process.poll() is None
            time.sleep(0.05)
        upload = client.upload_file(file, tell, patience_s=60)
        assert (upload.complete, upload.offset) == (True, SIZE)
        (kept,) = client.uploads()  # the service has compared its bytes with the SHA-256 of the file
        assert (kept.id, kept.complete) == (upload.id, True)
        client.end_upload(kept.id)
        assert list(client.uploads()) == []
    assert killed
    assert told[killed[0]] > 1_000_000  # it went on, and did not begin again
    assert told[-1] == SIZE


@pytest.fixture
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with serving(make_settings()) as running:
        yield running


def test_an_upload_that_a_program_broke_off_goes_on_in_the_next(service: Service, world: World, tmp_path: Path) -> None:
    npz = tmp_path / "heatmaps.npz"
    npz.write_bytes(payloads.heatmaps(world))

    class Stopped(Exception):
        pass

    def stop(sent: int, total: int) -> None:
        if sent > total // 2:
            raise Stopped

    told: list[int] = []
    with RigFuseClient(str(service.client.base_url)) as client:
        rig = client.register_rig(payloads.rig_document(world.rig)).id
        labels = payloads.labels_document(world)
        with pytest.raises(Stopped):
            client.upload_capture(rig, labels, heatmaps=npz, resumable=True, on_progress=stop)
        begun = max((upload for upload in client.uploads()), key=lambda upload: upload.created_at)
        capture = client.upload_capture(
            rig, labels, heatmaps=npz, resumable=True, on_progress=lambda sent, _: told.append(sent)
        )
        assert capture.frames == payloads.FRAMES
        assert told[-1] == npz.stat().st_size
        with pytest.raises(ApiError, match="no upload"):  # sealed, and so used up
            client.end_upload(begun.id)


def test_a_proxy_that_answers_while_the_service_restarts_ends_no_upload(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "frames.zip"
    file.write_bytes(b"0123456789")
    monkeypatch.setattr("app.client.uploads._PAUSE_S", 0.0)
    away = ["PATCH", "GET"]  # each once
    with RigFuseClient(str(service.client.base_url)) as client:
        send = client._transport._http.send

        def proxy(request: httpx.Request, **options: Any) -> httpx.Response:
            if away and away[0] == request.method and request.url.path != "/v1/uploads":
                away.pop(0)
                return httpx.Response(502, request=request)
            return send(request, **options)

        monkeypatch.setattr(client._transport._http, "send", proxy)
        assert client.upload_file(file).complete
        assert away == []

"""Who may come in: a short queue, promised bytes, and clients that go away."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import payloads
import pytest
from running import Service, serving
from test_poses import ask

from app.errors import ServiceUnavailable
from app.poses import service
from app.poses.admission import Admission, Memory
from app.settings import Settings
from models.worlds import World

TIMEOUT_S = 20.0


@pytest.fixture
def narrow(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    """A service with one turn, of which one more request may wait."""
    with serving(make_settings(pose_concurrency=1, pose_batch=1, pose_queue=1)) as running:
        yield running


class HeldUp:
    """Serving that goes on when it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[int] = []
        self.may_go_on = threading.Event()
        serve = service.serve

        def slow_serve(*arguments: Any, **more: Any) -> Any:
            self.begun.append(1)
            assert self.may_go_on.wait(TIMEOUT_S)
            return serve(*arguments, **more)

        monkeypatch.setattr(service, "serve", slow_serve)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def head_of_request(narrow: Service, rig: str, length: int) -> socket.socket:
    """A connection that has sent a request's headers, and none of its body."""
    url = narrow.client.base_url
    connection = socket.create_connection((url.host, url.port), TIMEOUT_S)
    lines = (
        f"POST /v1/rigs/{rig}/poses HTTP/1.1", f"Host: {url.host}", f"Content-Length: {length}",
        "Content-Type: multipart/form-data; boundary=x", "", "",
    )  # fmt: skip
    connection.sendall("\r\n".join(lines).encode())
    return connection


def test_too_many_are_told_before_their_body_is_read_and_whoever_goes_gives_its_place(
    narrow: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, rig, admission = HeldUp(monkeypatch), narrow.register(world), narrow.app.state.serving.admission
    data = payloads.heatmaps(world)
    with ThreadPoolExecutor(2) as pool:
        try:
            first = pool.submit(ask, narrow, rig, data)
            until(lambda: held.begun)
            impatient = _send_all(narrow, rig, data)
            until(lambda: admission.waiting == 1)
            with head_of_request(narrow, rig, 1 << 30) as connection:
                told = b""
                while b"}" not in told:
                    told += connection.recv(4096)
            assert told.startswith(b"HTTP/1.1 503")
            assert b'"code":"busy"' in told
            assert b"retry-after: 1" in told.lower()
            assert 'rigfuse_refusals_total{code="busy"} 1.0' in narrow.client.get("/metrics").text
            impatient.close()
            until(lambda: admission.waiting == 0)
            second = pool.submit(ask, narrow, rig, data)
            until(lambda: admission.waiting == 1)
        finally:
            held.may_go_on.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]
    assert len(held.begun) == 2  # nobody computed for the one that went


def _send_all(narrow: Service, rig: str, data: bytes) -> socket.socket:
    """A whole request, whose answer nobody waits for."""
    body = b'--x\r\nContent-Disposition: form-data; name="heatmaps"; filename="h"\r\n\r\n' + data + b"\r\n--x--\r\n"
    connection = head_of_request(narrow, rig, len(body))
    connection.sendall(body)
    return connection


def test_bodies_are_promised_room(settings: Settings) -> None:
    admission = Admission(settings.model_copy(update={"pose_upload_bytes": 100, "max_upload_bytes": 80}))
    with admission.body("60"):
        with pytest.raises(ServiceUnavailable) as busy:
            admission.body("41").__enter__()
        assert (busy.value.code, busy.value.retry_after_s is not None) == ("busy", True)
        with pytest.raises(ServiceUnavailable):
            admission.body("").__enter__()  # does not say how much will come
        with admission.body("40"):
            pass
    with admission.body(""), admission.body("20"):
        pass


def test_memory_is_waited_for_but_not_for_long() -> None:
    memory, came = Memory(100), threading.Event()
    with memory.hold(1000):  # more than all of it: alone
        with pytest.raises(ServiceUnavailable) as busy, memory.hold(1, patience_s=0.01):
            pass
        assert busy.value.code == "busy"

        def wait() -> None:
            with memory.hold(100):
                came.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not came.wait(0.05)
    assert came.wait(TIMEOUT_S)
    thread.join()


def test_stages_are_measured(narrow: Service, world: World) -> None:
    assert ask(narrow, narrow.register(world), payloads.heatmaps(world)).status_code == 200
    text = narrow.client.get("/metrics").text
    for stage in ("receive", "wait", "check", "load", "decode", "fuse", "triangulate", "respond"):
        assert f'rigfuse_pose_stage_seconds_count{{stage="{stage}"}} 1.0' in text

"""The Python client against the real service: documents, typed answers, streams, and errors that say what is wrong."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import payloads
import pytest
from job_rows import add_job
from running import Service

from app.adaptations.states import State, move
from app.client import ApiError, Event, Misused, RigFuseClient, Unreachable
from app.transport import _read_events
from models.worlds import World


@pytest.fixture
def client(service: Service) -> Iterator[RigFuseClient]:
    with RigFuseClient(str(service.client.base_url)) as made:
        yield made


@pytest.fixture
def rig(client: RigFuseClient, world: World) -> str:
    return client.register_rig(payloads.rig_document(world.rig, "stage")).id


@pytest.fixture
def npz(tmp_path: Path, world: World) -> Path:
    path = tmp_path / "heatmaps.npz"
    path.write_bytes(payloads.heatmaps(world))
    return path


def test_rigs(client: RigFuseClient, rig: str) -> None:
    assert client.rig(rig).name == "stage"
    assert client.update_rig(rig, name="other", tags=["b"]).tags == ["b"]
    assert any(listed.id == rig and listed.name == "other" for listed in client.rigs())
    client.archive_rig(rig)
    assert client.rig(rig).status == "archived"


@pytest.mark.parametrize("from_disk", [True, False])
def test_an_upload_is_streamed_and_tells_how_far_it_is(
    client: RigFuseClient, world: World, rig: str, npz: Path, *, from_disk: bool
) -> None:
    document = payloads.labels_document(world)
    labels = npz.with_name("labels.json")
    labels.write_text(json.dumps(document))
    told: list[tuple[int, int]] = []
    capture = client.upload_capture(
        rig, labels if from_disk else document, heatmaps=npz, on_progress=lambda *now: told.append(now)
    )
    assert capture.frames == payloads.FRAMES
    total = npz.stat().st_size + (labels.stat().st_size if from_disk else 0)
    assert told[-1] == (total, total)
    assert [sent for sent, _ in told] == sorted(sent for sent, _ in told)
    assert len(told) > 3
    assert client.capture(capture.id) == capture
    assert [listed.id for listed in client.captures(rig)] == [capture.id]


def test_adaptations(client: RigFuseClient, world: World, rig: str, npz: Path) -> None:
    capture = client.upload_capture(rig, payloads.labels_document(world), heatmaps=npz).id
    job = client.adapt(rig, capture, seed=4, options={"steps": 1}, idempotency_key=f"client {rig}")
    assert (job.state, job.seed, job.options) == ("queued", 4, {"steps": 1})
    assert client.adapt(rig, capture, seed=4, options={"steps": 1}, idempotency_key=f"client {rig}").id == job.id
    assert client.adaptation(job.id) == job
    assert [found.id for found in client.adaptations(rig=rig, state="queued")] == [job.id]
    assert client.cancel(job.id).state == "cancelled"
    heard: list[Event] = []
    assert client.wait(job.id, heard.append).state == "cancelled"
    assert [event.kind for event in heard] == ["queued", "cancelled"]
    assert list(client.events(job.id, after=heard[0].id)) == heard[1:]


def test_a_long_wait_in_silence_takes_nothing_from_the_patience(
    client: RigFuseClient, service: Service, rig: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = add_job(service.app.state.db, rig)
    with service.app.state.db.session() as session:
        move(session, job, State.QUEUED, State.CANCELLED)
    events, calls = client._transport.events, []

    def break_first(path: str, after: int, opened: Callable[[], None]) -> Iterator[Event]:
        calls.append(after)
        if len(calls) == 1:
            opened()
            time.sleep(0.3)
            raise Unreachable("the connection broke")
        yield from events(path, after, opened)

    monkeypatch.setattr(client._transport, "events", break_first)
    assert client.wait(job, patience_s=0.2).state == "cancelled"
    assert len(calls) == 2


def test_lists_are_read_page_after_page(service: Service, client: RigFuseClient, rig: str) -> None:
    ids = {add_job(service.app.state.db, rig) for _ in range(53)}  # a page has 50
    found = [job.id for job in client.adaptations(rig=rig)]
    assert len(found) == 53
    assert set(found) == ids


def test_poses(client: RigFuseClient, world: World, rig: str, npz: Path, tmp_path: Path) -> None:
    document = client.poses(rig, heatmaps=npz, checkpoint="none")
    assert len(document.frames) == payloads.FRAMES
    target = client.fused_heatmaps(rig, tmp_path / "fused.npz", heatmaps=npz, checkpoint="epipolar")
    assert target.read_bytes()[:2] == b"PK"


def test_fused_heatmaps_go_to_the_disk_without_being_held(
    client: RigFuseClient, world: World, rig: str, npz: Path, tmp_path: Path
) -> None:
    written = client.fused_heatmaps(rig, tmp_path / "fused.npz", heatmaps=npz, checkpoint="none")
    with client._transport.sending(
        f"/v1/rigs/{rig}/poses", {"heatmaps": npz}, {"checkpoint": "none", "return": "heatmaps"}
    ) as response:
        assert not response.is_stream_consumed  # what is written is read from the connection
        assert sum(len(chunk) for chunk in response.iter_bytes()) == written.stat().st_size
    assert np.load(written)["heatmaps"].shape[0] == payloads.FRAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fused.npz", "heatmaps.npz"]


def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def cut_off(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=cut_off, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with RigFuseClient(url) as client, pytest.raises(Unreachable):
            client.download_checkpoint("ckp_1", tmp_path / "checkpoint")
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_an_api_error_with_everything_the_service_said(client: RigFuseClient, rig: str) -> None:
    document = client.rig(rig).model_dump(mode="json")
    document["cameras"][1]["K"][0][0] = -1
    with pytest.raises(ApiError) as refused:
        client.register_rig(document)
    error = refused.value
    assert (error.status, error.code, error.at) == (422, "invalid_rig", "cameras[1].K")
    assert error.detail in str(error)
    assert "cameras[1].K" in str(error)
    for call in (client.adaptation, client.checkpoint, client.roll_back, client.capture, client.activate):
        with pytest.raises(ApiError) as missing:
            call("none")
        assert missing.value.status == 404


def test_a_service_that_is_not_there_is_told_as_such() -> None:
    with RigFuseClient("http://127.0.0.1:9") as nobody:
        assert not nobody.ready()
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9"):
            nobody.rig("rig_1")
        with pytest.raises(Unreachable):
            nobody.wait("ada_1", patience_s=0)


def test_an_id_names_one_thing_and_nothing_else(client: RigFuseClient, rig: str) -> None:
    for no_id in (f"../rigs/{rig}", f"{rig}/captures", "..", ".", ""):
        with pytest.raises(Misused):
            client.archive_rig(no_id)
    assert client.rig(rig).status != "archived"
    for other in (f"{rig}?limit=1", f"{rig}#x", f"{rig}%2Fcaptures"):
        with pytest.raises(ApiError) as missing:
            client.rig(other)
        assert missing.value.code == "rig_not_found"
        assert other in missing.value.detail


def test_operations(client: RigFuseClient) -> None:
    assert client.ready()
    assert "rigfuse_jobs" in client.metrics()


def test_events_are_read_as_the_standard_says() -> None:
    lines = [
        ": a comment",
        "",
        "id: 7",
        "event: progress",
        'data: {"a": 1}',
        "",
        "",
        "id:8",
        'data:{"b":2}',
        "",
        "id: 9",
    ]
    assert list(_read_events(iter(lines))) == [Event(7, "progress", {"a": 1}), Event(8, "message", {"b": 2})]

"""Kept frames of pose requests over HTTP: what is kept, what never is, and how it goes."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import payloads
import pytest
from keyholders import holder, make_key
from numpy.typing import NDArray
from running import Service, serving
from sqlalchemy import select, update
from websockets.sync.client import connect

from app.artifacts import Artifacts
from app.backup import back_up
from app.doctor.findings import Patient
from app.doctor.storage import check_bytes
from app.framesets import reopen_frames
from app.poses.engines import Fusion
from app.request_frames.keeper import Keeper
from app.retention import sweep
from app.settings import Settings
from app.tables import AuditRow, RequestFrameRow, utc_now
from models.worlds import World


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    """One that keeps a frame of each request, where rigs allow it."""
    with serving(make_settings(request_frame_interval_s=0)) as running:
        yield running


def allow(service: Service, rig: str, kept: int) -> dict[str, Any]:
    answer = service.client.patch(f"/v1/rigs/{rig}", json={"request_frames_kept": kept})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ask(service: Service, rig: str, world: World, name: str = "000000", client: httpx.Client | None = None) -> None:
    frames, cameras = np.array([name, f"{name} and on"]), np.array([camera.id for camera in world.rig.cameras])
    body = io.BytesIO()
    np.savez(body, heatmaps=world.heatmaps[:2] * np.float32(1 + len(name) / 100), frames=frames, cameras=cameras)
    asking = client or service.client
    answer = asking.post(f"/v1/rigs/{rig}/poses", files=payloads.files(heatmaps=body.getvalue()))
    assert answer.status_code == 200, answer.text


def kept(service: Service, rig: str) -> list[dict[str, Any]]:
    """The frames, once all that was offered has been stored or let go."""
    settle(service)
    return list(service.client.get(f"/v1/rigs/{rig}/request-frames").json()["items"])


def settle(service: Service) -> None:
    """Wait until all that was offered has been stored or let go."""
    service.app.state.serving.keeper._thread.submit(int).result()


def digests(service: Service, rig: str) -> list[str]:
    with service.app.state.db.read_session() as session:
        query = select(RequestFrameRow.source_sha256).where(RequestFrameRow.rig_id == rig)
        return list(session.scalars(query.order_by(RequestFrameRow.id)))


def held(service: Service, names: list[str]) -> list[bool]:
    artifacts: Artifacts = service.app.state.artifacts
    return [artifacts.holds(name) for name in names]


def test_nothing_is_kept_unless_the_rig_allows_it(service: Service, world: World) -> None:
    rig = service.register(world)
    assert service.client.get(f"/v1/rigs/{rig}").json()["request_frames_kept"] == 0
    ask(service, rig, world)
    assert kept(service, rig) == []
    assert list(service.settings.uploads_dir.iterdir()) == []


def test_the_newest_first_frames_are_kept_as_they_came(service: Service, world: World, tmp_path: Path) -> None:
    rig = service.register(world)
    assert allow(service, rig, 2)["request_frames_kept"] == 2
    for count, name in enumerate(("a", "bb", "ccc"), start=1):
        ask(service, rig, world, name)
        settle(service)
        assert len(digests(service, rig)) == min(count, 2)
    newest, older = kept(service, rig)
    assert (newest["frame"], older["frame"], newest["kind"], newest["checkpoint"]) == ("ccc", "bb", "heatmaps", None)
    page = service.client.get(f"/v1/rigs/{rig}/request-frames", params={"limit": 1}).json()
    assert page["items"] == [newest]
    after = {"cursor": page["next_cursor"]}
    assert service.client.get(f"/v1/rigs/{rig}/request-frames", params=after).json()["items"] == [older]
    path = tmp_path / "frame"
    path.write_bytes(service.app.state.artifacts.read(digests(service, rig)[-1]))
    assert path.stat().st_size == newest["size_bytes"]
    file = reopen_frames("heatmaps", path, world.rig, service.settings, 1)
    assert file.frames == ("ccc",)
    np.testing.assert_array_equal(file.part(0, 1), world.heatmaps[:1] * np.float32(1.03))
    stored = [path.name for path in service.app.state.artifacts.root.rglob("*") if len(path.name) == 64]
    assert sorted(stored) == sorted(digests(service, rig))  # what went took its bytes along


def test_images_are_kept_byte_for_byte(service: Service, world: World) -> None:
    rig = payloads.with_small_images(world.rig)
    answer = service.client.post("/v1/rigs", json=payloads.rig_document(rig))
    name = str(answer.json()["id"])
    allow(service, name, 5)
    entries = payloads.frame_entries(rig, ["one", "two"])
    sent = payloads.files(frames=payloads.zipped(entries))
    assert service.client.post(f"/v1/rigs/{name}/poses", params={"view": "rig"}, files=sent).status_code == 200
    (frame,) = kept(service, name)
    assert (frame["frame"], frame["kind"]) == ("one", "images")
    with zipfile.ZipFile(io.BytesIO(service.app.state.artifacts.read(digests(service, name)[0]))) as zipped:
        found = {entry: zipped.read(entry) for entry in zipped.namelist()}
    assert found == {entry: data for entry, data in entries.items() if entry.startswith("one/")}
    service.client.delete(f"/v1/rigs/{name}/request-frames")


def test_frames_of_a_live_stream_are_kept_by_their_number(service: Service, world: World) -> None:
    rig = service.register(world)
    allow(service, rig, 5)
    one = payloads.heatmaps(world, heatmaps=world.heatmaps[0], frames=None)
    with connect(f"ws://127.0.0.1:{service.client.base_url.port}/v1/rigs/{rig}/live") as socket:
        for sequence in range(2):
            socket.send(one)
            assert json.loads(socket.recv(10))["sequence"] == sequence
    assert [frame["frame"] for frame in kept(service, rig)] == ["1", "0"]
    service.client.delete(f"/v1/rigs/{rig}/request-frames")


def test_what_is_allowed_no_longer_is_deleted(service: Service, world: World) -> None:
    rig = service.register(world)
    allow(service, rig, 3)
    for name in ("d", "ee", "fff"):
        ask(service, rig, world, name)
        settle(service)
    names = digests(service, rig)
    allow(service, rig, 1)
    assert held(service, names) == [False, False, True]
    assert service.client.delete(f"/v1/rigs/{rig}/request-frames").status_code == 204
    assert held(service, names) == [False] * 3
    ask(service, rig, world, "gggg")
    assert len(kept(service, rig)) == 1
    names = digests(service, rig)
    allow(service, rig, 0)
    assert (digests(service, rig), held(service, names)) == ([], [False])
    with service.app.state.db.read_session() as session:
        query = select(AuditRow).where(AuditRow.subject == rig).order_by(AuditRow.id)
        told = [(row.action, row.detail) for row in session.scalars(query)]
    assert told[1:] == [
        ("rig.retention", {"request_frames_kept": 3}),
        ("rig.retention", {"request_frames_kept": 1}),
        ("request_frames.purged", {"frames": 1}),
        ("rig.retention", {"request_frames_kept": 0}),
    ]
    refused = service.client.patch(f"/v1/rigs/{rig}", json={"request_frames_kept": 1001})
    assert (refused.status_code, refused.json()["at"]) == (422, "request_frames_kept")


def test_bytes_that_another_rig_keeps_too_stay(service: Service, world: World) -> None:
    rigs = [service.register(world) for _ in range(2)]
    for rig in rigs:
        allow(service, rig, 5)
        ask(service, rig, world, "shared")
        settle(service)
    first, second = (digests(service, rig) for rig in rigs)
    assert first == second
    service.client.delete(f"/v1/rigs/{rigs[0]}", params={"purge": True})
    assert (digests(service, rigs[0]), held(service, second)) == ([], [True])
    service.client.delete(f"/v1/rigs/{rigs[1]}", params={"purge": True})
    assert held(service, second) == [False]


def test_housekeeping_backup_and_doctor_know_them(service: Service, world: World, tmp_path: Path) -> None:
    rig = service.register(world)
    allow(service, rig, 5)
    ask(service, rig, world, "old")
    ask(service, rig, world, "young")
    settle(service)
    old, young = digests(service, rig)
    state = service.app.state
    assert sweep(state.db, state.artifacts, service.settings).request_frames == 0
    assert held(service, [old, young]) == [True, True]
    back_up(service.settings, tmp_path / "backup")
    assert (tmp_path / "backup" / "artifacts" / old[:2] / old).is_file()
    patient = Patient(service.settings, deep=True)
    (finding,) = check_bytes(patient)
    patient.close()
    assert finding.told.endswith(" verified")
    with state.db.session() as session:
        ancient = utc_now() - timedelta(days=9)
        aged = update(RequestFrameRow).where(RequestFrameRow.source_sha256 == old).values(created_at=ancient)
        session.execute(aged)
    swept = sweep(state.db, state.artifacts, service.settings.model_copy(update={"capture_retention_days": 7}))
    assert (swept.request_frames, held(service, [old, young])) == (1, [False, True])
    service.client.delete(f"/v1/rigs/{rig}/request-frames")


def test_a_studio_sees_its_own_and_keeps_no_more_than_it_may(service: Service, world: World) -> None:
    made = make_key(service, "read", "write", "admin", studio="north", stored_bytes=1_000_000)
    with holder(service, made["key"]) as client:
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
        client.patch(f"/v1/rigs/{rig}", json={"request_frames_kept": 9})
        for name in ("1", "22", "333"):
            ask(service, rig, world, name, client)
            settle(service)
        frames = client.get(f"/v1/rigs/{rig}/request-frames").json()["items"]
        assert [frame["frame"] for frame in frames] == ["1"]  # a second one would not fit into the quota
        assert client.get(f"/v1/keys/{made['id']}").json()["stored_bytes_used"] == frames[0]["size_bytes"]
    with holder(service, make_key(service, "read", "write", studio="south")["key"]) as stranger:
        for method in ("GET", "DELETE"):
            assert stranger.request(method, f"/v1/rigs/{rig}/request-frames").status_code in {403, 404}
    with holder(service, make_key(service, "read", "write", studio="north")["key"]) as worker:
        assert worker.delete(f"/v1/rigs/{rig}/request-frames").status_code == 403
        refused = worker.patch(f"/v1/rigs/{rig}", json={"request_frames_kept": 1})
        assert (refused.status_code, refused.json()["at"]) == (403, "request_frames_kept")
    service.client.delete(f"/v1/rigs/{rig}/request-frames")


def test_a_frame_that_cannot_be_kept_costs_no_poses(service: Service, world: World) -> None:
    rig = service.register(world)
    allow(service, rig, 5)
    root = service.app.state.artifacts.root
    root.rename(root.with_name("away"))
    try:
        ask(service, rig, world)
        settle(service)
    finally:
        root.with_name("away").rename(root)
    assert kept(service, rig) == []
    ask(service, rig, world)
    assert len(kept(service, rig)) == 1


def write_heatmaps(path: Path, world: World, heatmaps: NDArray[np.float32], order: Sequence[int] = (0, 1, 2)) -> None:
    """Not packed, which would take longer than all else."""
    names = np.array([f"{index:06d}" for index in range(len(heatmaps))])
    with path.open("wb") as file:
        np.savez(file, heatmaps=heatmaps, frames=names, cameras=[world.rig.cameras[i].id for i in order])


def test_only_one_is_kept_within_the_interval(service: Service, world: World, tmp_path: Path) -> None:
    rig = service.register(world)
    allow(service, rig, 5)
    write_heatmaps(tmp_path / "frames", world, world.heatmaps[:1])
    file = reopen_frames("heatmaps", tmp_path / "frames", world.rig, service.settings, 1)
    hourly = service.settings.model_copy(update={"request_frame_interval_s": 3600.0})
    with Keeper(hourly, service.app.state.artifacts) as keeper:
        for _ in range(3):
            keeper.offer(service.app.state.db, rig, file, world.rig, Fusion("none"))
    assert len(digests(service, rig)) == 1
    service.client.delete(f"/v1/rigs/{rig}/request-frames")


def test_part_reads_a_run_of_frames(world: World, settings: Settings, tmp_path: Path) -> None:
    order = [2, 0, 1]
    for arrange in (np.ascontiguousarray, np.asfortranarray):
        path = tmp_path / arrange.__name__
        write_heatmaps(path, world, arrange(world.heatmaps[:, order]), order)
        file = reopen_frames("heatmaps", path, world.rig, settings, 10)
        np.testing.assert_array_equal(file.part(8, 5), world.heatmaps[8:])
        np.testing.assert_array_equal(file.part(0, 3), world.heatmaps[:3])

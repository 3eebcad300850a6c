"""Poses over HTTP, with real checkpoints whose fields come from the calibration."""

import io
import threading
import time
from typing import Any

import httpx
import numpy as np
import payloads
import pytest
from running import Service
from stored import checkpoint_of, store

from app.tables import CheckpointRow
from models.runtime import Engine
from models.worlds import World

pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)  # no database has a part in this


def ask(service: Service, rig: str, data: bytes, part: str = "heatmaps", **query: str) -> httpx.Response:
    return service.client.post(f"/v1/rigs/{rig}/poses", params=query, files=payloads.files(**{part: data}))


def test_poses_of_heatmaps_are_those_of_the_engine(service: Service, world: World) -> None:
    rig = service.register(world)
    answer = ask(service, rig, payloads.heatmaps(world))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["rig"], body["checkpoint"]) == (rig, "none")
    assert body["joints"] == list(world.rig.skeleton.joints)
    expected = Engine.unfused(world.rig).poses(world.heatmaps.astype(np.float16))
    assert [frame["frame"] for frame in body["frames"]] == [f"{i:06d}" for i in range(payloads.FRAMES)]
    for index, frame in enumerate(body["frames"]):
        for view, camera in enumerate(world.rig.cameras):
            points = np.array(frame["poses2d"][camera.id])
            np.testing.assert_allclose(points[:, :2], expected.poses2d[index, view], atol=1e-3)
            np.testing.assert_allclose(points[:, 2], expected.confidence2d[index, view], atol=1e-3)
        for joint, point in enumerate(frame["pose3d"]):
            truth = expected.pose3d[index, joint]
            if point is None:
                assert np.isnan(truth).any()
                assert frame["confidence"][joint] == 0
                assert frame["reprojection_px"][joint] is None
                assert frame["views_used"][joint] == 0
            else:
                np.testing.assert_allclose(point, truth, atol=1e-6)
                assert frame["views_used"][joint] >= 2


def test_what_cannot_be_triangulated_is_null_and_never_nan(service: Service, world: World) -> None:
    nothing = np.zeros_like(world.heatmaps[:1])
    data = payloads.heatmaps(world, heatmaps=nothing, frames=np.array(["only"]))
    answer = ask(service, service.register(world), data)
    assert answer.status_code == 200
    assert "NaN" not in answer.text
    frame = answer.json()["frames"][0]
    assert frame["pose3d"] == [None] * 17
    assert frame["reprojection_px"] == [None] * 17
    assert frame["confidence"] == [0] * 17
    assert list(frame["poses2d"].values()) == [[None] * 17] * len(world.rig.cameras)


def test_the_order_of_cameras_in_the_file_does_not_matter(service: Service, world: World) -> None:
    rig = service.register(world)
    order = [2, 0, 1]
    shuffled = payloads.heatmaps(
        world,
        heatmaps=world.heatmaps[:, order].astype(np.float16),
        cameras=np.array([world.rig.cameras[i].id for i in order]).astype("S"),
    )
    straight = payloads.heatmaps(world)
    assert ask(service, rig, shuffled).json() == ask(service, rig, straight).json()


def test_arrays_in_fortran_order_are_read_rightly(service: Service, world: World) -> None:
    rig = service.register(world)
    maps = np.asfortranarray(world.heatmaps.astype(">f4"))
    data = payloads.heatmaps(world, heatmaps=maps)
    assert ask(service, rig, data).json() == ask(service, rig, payloads.heatmaps(world, heatmaps=world.heatmaps)).json()


@pytest.mark.parametrize("triangulation", ["robust", "dlt", "pictorial"])
@pytest.mark.parametrize("checkpoint", ["none", "epipolar", "active"])
def test_every_way_of_fusing_and_triangulating_answers(
    service: Service, world: World, checkpoint: str, triangulation: str
) -> None:
    data = payloads.heatmaps(world, heatmaps=world.heatmaps[:1].astype(np.float16), frames=np.array(["a"]))
    answer = ask(service, service.register(world), data, checkpoint=checkpoint, triangulation=triangulation)
    assert answer.status_code == 200, answer.text
    assert answer.json()["checkpoint"] == ("epipolar" if checkpoint == "epipolar" else "none")


def test_fused_heatmaps_come_as_an_npz(service: Service, world: World) -> None:
    rig = service.register(world)
    answer = ask(service, rig, payloads.heatmaps(world), **{"return": "heatmaps", "checkpoint": "epipolar"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-npz"
    assert int(answer.headers["content-length"]) == len(answer.content)
    expected = Engine.epipolar(world.rig).poses(world.heatmaps.astype(np.float16))
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        assert arrays["heatmaps"].dtype == np.float16
        np.testing.assert_allclose(arrays["heatmaps"], expected.heatmaps, atol=2e-3)
        np.testing.assert_allclose(arrays["pose3d"], expected.pose3d, equal_nan=True)
        assert arrays["poses2d"].shape == (payloads.FRAMES, 3, 17, 3)
        assert arrays["frames"].tolist() == [f"{i:06d}" for i in range(payloads.FRAMES)]
        assert arrays["cameras"].tolist() == [camera.id for camera in world.rig.cameras]
        assert arrays["confidence"].shape == (payloads.FRAMES, 17)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_images_go_through_the_backbone(service: Service, world: World, extension: str) -> None:
    rig = service.register(world)
    entries = payloads.frame_entries(world.rig, ["b", "a"], extension)
    answer = ask(service, rig, payloads.zipped(entries), part="frames")
    assert answer.status_code == 200, answer.text
    assert [frame["frame"] for frame in answer.json()["frames"]] == ["b", "a"]
    assert answer.json()["frames"][0]["poses2d"] == answer.json()["frames"][1]["poses2d"]


def test_a_checkpoint_is_served_when_active_or_asked_for(service: Service, world: World) -> None:
    rig = service.register(world)
    data = payloads.heatmaps(world)
    made = checkpoint_of(world.rig)
    stored = store(service, rig, made, activate=False)
    assert ask(service, rig, data).json()["checkpoint"] == "none"
    asked = ask(service, rig, data, checkpoint=stored).json()
    assert asked["checkpoint"] == stored
    expected = Engine.load(world.rig, made).poses(world.heatmaps.astype(np.float16))
    got = [[np.nan] * 3 if point is None else point for point in asked["frames"][0]["pose3d"]]
    np.testing.assert_allclose(got, expected.pose3d[0], atol=1e-5)
    active = store(service, rig, checkpoint_of(world.rig, gain=0.5), activate=True)
    assert ask(service, rig, data).json()["checkpoint"] == active
    status = service.client.get(f"/v1/rigs/{rig}").json()
    assert (status["status"], status["active_checkpoint"]) == ("adapted", active)


def test_an_activation_drops_no_request(service: Service, world: World) -> None:
    rig = service.register(world)
    data = payloads.heatmaps(world, heatmaps=world.heatmaps[:1].astype(np.float16), frames=np.array(["a"]))
    stop, seen = threading.Event(), []

    def keep_asking() -> None:
        with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
            while not stop.is_set():
                answer = client.post(f"/v1/rigs/{rig}/poses", files=payloads.files(heatmaps=data))
                seen.append((answer.status_code, answer.json().get("checkpoint")))

    threads = [threading.Thread(target=keep_asking) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        first = store(service, rig, checkpoint_of(world.rig), activate=True)
        second = store(service, rig, checkpoint_of(world.rig, gain=0.5), activate=True)
        deadline = time.monotonic() + 20
        while (200, second) not in seen and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in seen} == {200}
    assert {checkpoint for _, checkpoint in seen} <= {"none", first, second}
    assert seen[-1][1] == second


def test_a_checkpoint_of_another_rig_is_refused(service: Service, world: World) -> None:
    other = service.register(world)
    stored = store(service, other, checkpoint_of(world.rig), activate=False)
    answer = ask(service, service.register(world), payloads.heatmaps(world), checkpoint=stored)
    assert (answer.status_code, answer.json()["code"]) == (409, "checkpoint_mismatch")
    strange = payloads.world(seed=9).rig
    lying = store(service, other, checkpoint_of(strange), activate=False)
    answer = ask(service, other, payloads.heatmaps(world), checkpoint=lying)
    assert (answer.status_code, answer.json()["code"]) == (409, "checkpoint_mismatch")


def test_a_checkpoint_whose_bytes_were_changed_is_not_served(service: Service, world: World) -> None:
    rig = service.register(world)
    stored = store(service, rig, checkpoint_of(world.rig, gain=0.25), activate=False)
    with service.app.state.db.read_session() as session:
        path = service.app.state.artifacts.path(session.get_one(CheckpointRow, stored).artifact_sha256)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    answer = ask(service, rig, payloads.heatmaps(world), checkpoint=stored)
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_artifact")


def _changed(**changed: Any) -> Any:
    return lambda world: payloads.heatmaps(world, **changed)


def _many_frames(world: World) -> bytes:
    maps = np.zeros((65, 3, 17, 64, 64), np.float16)
    return payloads.heatmaps(world, heatmaps=maps, frames=np.array([str(i) for i in range(65)]))


@pytest.mark.parametrize(
    ("make", "query", "status", "code"),
    [
        (payloads.heatmaps, {"checkpoint": "ckp_0"}, 404, "checkpoint_not_found"),
        (payloads.heatmaps, {"checkpoint": "\0"}, 404, "checkpoint_not_found"),
        (payloads.heatmaps, {"checkpoint": "x" * 50}, 422, "invalid_input"),
        (payloads.heatmaps, {"return": "video"}, 422, "invalid_input"),
        (payloads.heatmaps, {"triangulation": "guess"}, 422, "invalid_input"),
        (_many_frames, {}, 413, "too_many_frames"),
        (_changed(heatmaps=np.array([{}], dtype=object)), {}, 422, "pickled_npz"),
        (_changed(frames=np.array(["a\nb"] * 10)), {}, 422, "invalid_heatmaps"),
        (lambda _: b"", {}, 422, "invalid_archive"),
    ],
)
def test_wrong_requests_are_refused_and_leave_nothing(
    *, service: Service, world: World, make: Any, query: dict[str, str], status: int, code: str
) -> None:
    rig = service.register(world)
    before = service.holdings()
    answer = ask(service, rig, make(world), **query)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert service.holdings() == before


def test_labels_are_not_read_with_poses(service: Service, world: World) -> None:
    sent = payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world))
    answer = service.client.post(f"/v1/rigs/{service.register(world)}/poses", files=sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "unexpected_part")

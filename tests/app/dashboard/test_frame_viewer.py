"""The frame viewer: what it tells of a frame, that it is what the engine finds, and who may look."""

import gzip
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import cv2
import httpx
import numpy as np
import payloads
import pytest
from keyholders import holder, make_key
from numpy.typing import NDArray
from running import Service, serving
from stored import checkpoint_of, store

from app.dashboard.frames.packing import pack
from app.settings import Settings
from app.tables import CaptureRow
from models import geometry
from models.checkpoint import Checkpoint
from models.rig import Rig
from models.runtime import Engine
from models.worlds import World

FRAME = 3


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with serving(make_settings(request_frame_interval_s=0)) as running:
        yield running


@pytest.fixture(scope="module")
def checkpoint(world: World) -> Checkpoint:
    return checkpoint_of(world.rig)


@pytest.fixture(scope="module")
def capture(service: Service, world: World, checkpoint: Checkpoint) -> str:
    """Labelled heatmaps of a rig that serves with a checkpoint."""
    rig = service.register(world, "<b>stage</b>")
    store(service, rig, checkpoint, activate=True)
    return str(service.upload(rig, payloads.capture(world)).json()["id"])


@pytest.fixture(scope="module")
def pictured(service: Service, world: World) -> tuple[str, Rig]:
    """Images with one bright spot each, at the same place."""
    rig = payloads.with_small_images(world.rig)
    name = service.client.post("/v1/rigs", json=payloads.rig_document(rig)).json()["id"]
    image = np.zeros((64, 96, 3), np.uint8)
    cv2.circle(image, (40, 30), 3, (255, 255, 255), -1)
    data = cv2.imencode(".png", image)[1].tobytes()
    entries = {f"{frame:06d}/{camera.id}.png": data for frame in range(payloads.FRAMES) for camera in rig.cameras}
    sent = payloads.files(payloads.small_labels(rig), frames=payloads.zipped(entries))
    answer = service.upload(name, sent)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"]), rig


def frame(service: Service, capture: str, what: str, place: int = FRAME, **query: str) -> httpx.Response:
    return service.client.get(f"/captures/{capture}/frames/{place}/{what}", params=query)


def told(service: Service, capture: str, place: int = FRAME, **query: str) -> dict[str, Any]:
    answer = frame(service, capture, "document", place, **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    return dict(answer.json())


def unpacked(data: bytes, *shape: int) -> NDArray[np.float32]:
    """Heatmaps as the page reads them."""
    count = int(np.prod(shape))
    peaks = np.frombuffer(data, "<f4", count)
    values = np.frombuffer(data, np.int8, offset=4 * count).reshape(count, 64, 64)
    return (values * (peaks / 127)[:, None, None]).reshape(*shape, 64, 64)


def points(rows: list[Any]) -> NDArray[np.float64]:
    return np.array([row[:2] if row else [np.nan, np.nan] for row in rows])


def test_a_frame_is_told_as_the_engine_finds_it(
    service: Service, world: World, capture: str, checkpoint: Checkpoint
) -> None:
    document, maps = told(service, capture), world.heatmaps[FRAME : FRAME + 1].astype(np.float16)
    engine = Engine.load(world.rig, checkpoint)
    for when, poses in (("before", Engine.unfused(world.rig).poses(maps)), ("after", engine.poses(maps))):
        for view in range(3):
            np.testing.assert_allclose(points(document["joints2d"][when][view]), poses.joints_view[0, view], atol=2e-3)
        known = [index for index, point in enumerate(document["joints3d"][when]) if point]
        np.testing.assert_allclose([document["joints3d"][when][i] for i in known], poses.pose3d[0, known], atol=1e-5)
        assert document["views_used"][when] == poses.views_used[0].tolist()
    labels = world.labelled().joints_view[FRAME]
    for view in range(3):
        np.testing.assert_allclose(points(document["joints2d"]["labels"][view]), labels[view], atol=2e-3)
    assert (document["frame"], document["pictures"], document["joints"][0]) == ("000003", False, "nose")
    assert [camera["id"] for camera in document["cameras"]] == [camera.id for camera in world.rig.cameras]
    assert document["figures"]["labelled"] == int(np.isfinite(labels).all(-1).sum())
    gained = sum(change["kind"] == "gained" for change in document["changes"])
    lost = sum(change["kind"] == "lost" for change in document["changes"])
    found = document["figures"]["found"]
    assert found["after"] - found["before"] == gained - lost
    assert ("No" in document["words"] or "None" in document["words"]) == (lost == 0)


def test_lines_lead_through_the_labels_of_other_views(service: Service, world: World, capture: str) -> None:
    document, labels = told(service, capture), world.labelled().joints_view[FRAME]
    for a, b in world.rig.pairs:
        lines = geometry.epipolar_lines(np.array(document["fundamental"][a][b]), labels[a])
        away = np.abs((lines[:, :2] * labels[b]).sum(-1) + lines[:, 2])
        assert np.nanmedian(away) < 1.5  # as exact as the calibration
    assert [document["fundamental"][view][view] for view in range(3)] == [None] * 3


def test_heatmaps_and_what_each_view_adds(service: Service, world: World, capture: str, checkpoint: Checkpoint) -> None:
    joints, joint = len(world.rig.skeleton.joints), 9
    before, after = unpacked(frame(service, capture, "heatmaps").content, 2, 3, joints)
    maps = world.heatmaps[FRAME].astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(before, maps, atol=0.51 / 127 * np.abs(maps).max())
    fused = Engine.load(world.rig, checkpoint).poses(maps[None]).heatmaps[0]
    np.testing.assert_allclose(after, fused, atol=0.51 / 127 * np.abs(fused).max())
    added = unpacked(frame(service, capture, f"contributions/{joint}").content, 3, 3)
    np.testing.assert_allclose(added.sum(1), (fused - maps)[:, joint], atol=2 / 127 * np.abs(added).max())
    nothing = unpacked(frame(service, capture, f"contributions/{joint}", checkpoint="none").content, 3, 3)
    assert not nothing.any()
    plain = service.client.get(f"/captures/{capture}/frames/{FRAME}/heatmaps", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == frame(service, capture, "heatmaps").content


def test_without_fusion_both_are_the_same_and_it_is_said(service: Service, capture: str) -> None:
    document = told(service, capture, checkpoint="none")
    assert document["joints2d"]["before"] == document["joints2d"]["after"]
    assert (document["checkpoint"], document["changes"]) == ("none", [])
    assert document["words"].startswith("Shown without fusion")
    assert told(service, capture, checkpoint="none", view="auto")["view"] == "rig"
    epipolar = told(service, capture, checkpoint="epipolar")
    assert epipolar["joints2d"]["before"] == document["joints2d"]["before"]


def test_pictures_lie_exactly_under_the_heatmaps(service: Service, pictured: tuple[str, Rig]) -> None:
    capture, rig = pictured
    for index, (camera, view) in enumerate(zip(rig.cameras, rig.views, strict=True)):
        answer = frame(service, capture, f"pictures/{index}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image.shape == (512, 512)
        y, x = np.argwhere(image > 128).mean(0)
        expected = geometry.image_to_view(camera, view, np.array([40.0, 30.0]))
        np.testing.assert_allclose((np.array([x, y]) + 0.5) / 8 - 0.5, expected, atol=0.25)
    assert told(service, capture)["pictures"]
    assert frame(service, capture, "pictures/3").json()["code"] == "picture_not_found"
    around = told(service, capture, view="person")
    assert (around["view"], len(around["cameras"])) == ("person", 3)
    assert told(service, capture, view="auto") == around  # as the service itself would look


def test_what_cannot_be_shown_says_why(service: Service, world: World, capture: str) -> None:
    asked = {
        "frame_not_found": frame(service, capture, "document", place=payloads.FRAMES),
        "checkpoint_not_found": frame(service, capture, "document", checkpoint="ckp_none"),
        "picture_not_found": frame(service, capture, "pictures/0"),
        "capture_not_found": frame(service, "cap_none", "document"),
        "request_frame_not_found": service.client.get("/rigs/rig_none/requests/1/document"),
        "not_found": frame(service, capture, "contributions/20"),
        "invalid_input": frame(service, capture, "document", view="person"),
    }
    assert {code: answer.json()["code"] for code, answer in asked.items()} == {code: code for code in asked}
    assert {answer.status_code for code, answer in asked.items() if code.endswith("found")} == {404}
    assert frame(service, capture, "document", view="elsewhere").status_code == 422

    rig = service.register(world)
    gone = str(service.upload(rig, payloads.capture(world)).json()["id"])
    other = payloads.capture(payloads.world(seed=4))
    damaged = str(service.upload(rig, {**payloads.capture(world), "heatmaps": other["heatmaps"]}).json()["id"])
    with service.app.state.db.read_session() as session:
        sha256 = session.get_one(CaptureRow, damaged).source_sha256
    assert told(service, damaged, place=0)["frame"] == "000000"  # opened, so that its digest is known to be right
    path = service.app.state.artifacts.path(sha256)
    data = path.read_bytes()
    path.unlink()
    assert "missing" in frame(service, damaged, "document").json()["detail"]
    path.write_bytes(data[:-100])
    refused = frame(service, damaged, "document")
    assert (refused.status_code, refused.json()["code"]) == (500, "corrupt_artifact")
    assert told(service, gone)["frame"] == "000003"
    service.client.delete(f"/v1/captures/{gone}")
    refused = frame(service, gone, "document")
    assert (refused.status_code, refused.json()["code"]) == (409, "capture_purged")
    assert service.client.get(f"/captures/{gone}/frames").status_code == 409


def test_who_looks_at_frames_leaves_threads_to_others(service: Service, world: World) -> None:
    capture = str(service.upload(service.register(world), payloads.capture(world)).json()["id"])
    turns, batcher = service.app.state.viewer.turns, service.app.state.serving.batcher
    with ThreadPoolExecutor(60) as people:
        with ExitStack() as poses:
            for _ in range(service.settings.pose_concurrency):
                poses.enter_context(batcher.turn())
            looked = [people.submit(frame, service, capture, "document") for _ in range(60)]
            deadline = time.monotonic() + 6
            while turns.statistics().tasks_waiting < 60 - turns.total_tokens and time.monotonic() < deadline:
                time.sleep(0.01)
            assert service.client.get("/v1/rigs", timeout=10).status_code == 200
        assert {one.result().status_code for one in looked} == {200}


def test_pages_list_the_frames_and_show_names_as_text(service: Service, capture: str, world: World) -> None:
    page = service.client.get(f"/captures/{capture}/frames")
    assert page.status_code == 200, page.text
    assert "&lt;b&gt;stage&lt;/b&gt;" in page.text
    assert "<b>stage" not in page.text
    assert '{"key": 3, "name": "000003"}' in page.text
    assert f'"base": "/captures/{capture}/frames"' in page.text
    rig = service.register(world)
    empty = service.client.get(f"/rigs/{rig}/requests").text
    assert "none are kept" in empty
    assert '"frames": []' in empty


def test_a_kept_frame_of_a_request_is_looked_at_as_any_other(service: Service, world: World, capture: str) -> None:
    rig = service.register(world)
    service.client.patch(f"/v1/rigs/{rig}", json={"request_frames_kept": 3})
    sent = payloads.files(heatmaps=payloads.heatmaps(world))
    assert service.client.post(f"/v1/rigs/{rig}/poses", files=sent).status_code == 200
    service.app.state.serving.keeper._thread.submit(int).result()
    (kept,) = service.client.get(f"/v1/rigs/{rig}/request-frames").json()["items"]
    base = f"/rigs/{rig}/requests/{kept['id']}"
    document = service.client.get(f"{base}/document").json()
    assert document["joints2d"]["before"] == told(service, capture, place=0)["joints2d"]["before"]
    assert (document["joints2d"]["labels"], document["figures"]["found"]) == (None, None)
    assert f'"key": {kept["id"]}' in service.client.get(f"/rigs/{rig}/requests").text
    service.client.delete(f"/v1/rigs/{rig}/request-frames")
    assert service.client.get(f"{base}/heatmaps").json()["code"] == "request_frame_not_found"


def test_only_who_may_look_sees_frames(service: Service, world: World) -> None:
    with holder(service, make_key(service, "read", "write", studio="north")["key"]) as client:
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
        capture = client.post(f"/v1/rigs/{rig}/captures", files=payloads.capture(world)).json()["id"]
        paths = [f"/captures/{capture}/frames/0/{what}" for what in ("document", "heatmaps", "contributions/0")]
        paths += [f"/captures/{capture}/frames", f"/rigs/{rig}/requests"]
        assert [client.get(path).status_code for path in paths] == [200] * 5
    for scope, studio, status in (("read", "south", 404), ("write", "north", 403)):
        with holder(service, make_key(service, scope, studio=studio)["key"]) as client:
            assert [client.get(path).status_code for path in paths] == [status] * 5


def test_packing_keeps_what_is_faint_beside_what_is_strong() -> None:
    maps = np.zeros((2, 64, 64), np.float32)
    maps[0, 5, 6], maps[1, 7, 8], maps[1, 0, 0] = 900.0, 0.001, -0.001
    found = unpacked(gzip.decompress(pack(maps[:1], maps[1:])), 2)
    np.testing.assert_allclose(found, maps, rtol=1e-6, atol=1e-8)
    assert not unpacked(gzip.decompress(pack(np.zeros((1, 64, 64)))), 1).any()

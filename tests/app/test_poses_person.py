"""Poses through windows that follow the person, over HTTP, with images in which somebody is to be seen."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import dolls
import numpy as np
import payloads
import pytest
from numpy.typing import NDArray
from running import Service
from stored import checkpoint_of, store
from test_poses import ask

from app.client import RigFuseClient
from models.backbone import Backbone
from models.crops import follow
from models.cutting import ViewCutter
from models.geometry import image_to_view
from models.motion import random_motion
from models.pair_weights import PLAIN_SUM
from models.rig import Camera, Rig
from models.runtime import Engine, Poses
from models.views import View
from models.worlds import World, look_at

FRAMES = ("a", "b")
pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)  # no database has a part in this


@pytest.fixture(scope="module")
def hall() -> Rig:
    """A hall of 8 m, in which a person is small."""
    places = np.array([(7.0, 6.0, 2.0), (-6.5, 6.5, 2.4), (6.0, -7.0, 2.2)])
    target = np.array([0.0, 0.0, 1.0])
    K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    rotations = [look_at(place, target) for place in places]
    cameras = [Camera(f"c{i}", 640, 480, K, R, -R @ places[i]) for i, R in enumerate(rotations)]
    volume = (np.array([-4.0, -4, 0]), np.array([4.0, 4, 2.4]))
    return Rig(tuple(cameras), "coco17", "m", np.array([0.0, 0, 1]), volume)


@pytest.fixture(scope="module")
def entries(hall: Rig) -> dict[str, bytes]:
    """A doll that stands at two places of the hall."""
    body = random_motion(np.random.default_rng(3), 1, hall.skeleton, roam=0.0)[0]
    joints = [body - body.mean(0) * [1, 1, 0] + place for place in ([1.5, 1.0, 0], [-1.0, 1.5, 0])]
    return {
        f"{frame}/{camera.id}.png": dolls.picture(camera, joints[index])
        for index, frame in enumerate(FRAMES)
        for camera in hall.cameras
    }


def in_process(rig: Rig, entries: dict[str, bytes], engine: Engine) -> Poses:
    """The same poses without a service."""
    cutter, backbone, parts = ViewCutter(rig), Backbone.load(threads=1), []
    for frame in FRAMES:
        data = [np.frombuffer(entries[f"{frame}/{camera.id}.png"], np.uint8) for camera in rig.cameras]
        images = [np.asarray(cv2.imdecode(each, cv2.IMREAD_COLOR_RGB), np.uint8) for each in data]

        def see(views: Sequence[View], images: list[NDArray[np.uint8]] = images) -> NDArray[np.float32]:
            return backbone.heatmaps(np.stack([cutter.cut(v, each, views[v]) for v, each in enumerate(images)]))

        parts.append(follow(engine, see))
    return Poses.joined(parts)


def register(service: Service, rig: Rig) -> str:
    return str(service.client.post("/v1/rigs", json=payloads.rig_document(rig)).json()["id"])


def joints_of(frame: dict[str, Any]) -> NDArray[np.float64]:
    return np.array([[np.nan] * 3 if point is None else point for point in frame["pose3d"]])


def test_images_are_looked_at_again_around_the_person(service: Service, hall: Rig, entries: dict[str, bytes]) -> None:
    rig = register(service, hall)
    answer = ask(service, rig, payloads.zipped(entries), part="frames")
    assert answer.status_code == 200, answer.text
    assert answer.json()["view"] == "person"
    assert [frame["view"] for frame in answer.json()["frames"]] == ["person", "person"]
    expected = in_process(hall, entries, Engine.unfused(hall))
    for index, frame in enumerate(answer.json()["frames"]):
        assert frame["frame"] == FRAMES[index]
        np.testing.assert_allclose(joints_of(frame), expected.pose3d[index], atol=1e-4)
        for v, camera in enumerate(hall.cameras):
            np.testing.assert_allclose(
                np.array(frame["poses2d"][camera.id])[:, :2], expected.poses2d[index, v], atol=0.01
            )


def test_the_windows_come_with_the_heatmaps(service: Service, hall: Rig, entries: dict[str, bytes]) -> None:
    rig = register(service, hall)
    store(service, rig, checkpoint_of(hall), activate=True)
    sent = payloads.zipped(entries)
    answers = {
        view: ask(service, rig, sent, part="frames", view=view, **{"return": "heatmaps"}).content
        for view in ("auto", "rig", "person")
    }
    fixed = np.stack([view.K for view in hall.views])
    with np.load(io.BytesIO(answers["person"]), allow_pickle=False) as arrays:
        K, followed = arrays["view_K"], arrays["poses2d"]
    assert K.shape == (len(FRAMES), 3, 3, 3)
    zoom = np.linalg.norm(K[:, :, 0, :2], axis=-1) / np.linalg.norm(fixed[:, 0, :2], axis=-1)
    assert (zoom > 1.5).all()
    assert (zoom <= 8.0 + 1e-9).all()
    for v, camera in enumerate(hall.cameras):
        seen = image_to_view(camera, View(K[0, v]), followed[0, v, :, :2])
        assert np.abs(seen - 31.5).max() < 36  # the joints lie in the window
    for view in ("auto", "rig"):
        with np.load(io.BytesIO(answers[view]), allow_pickle=False) as arrays:
            np.testing.assert_allclose(arrays["view_K"], np.broadcast_to(fixed, (len(FRAMES), 3, 3, 3)))


def test_where_nobody_is_the_answer_is_that_of_the_fixed_views(service: Service, world: World) -> None:
    rig = service.register(world)
    black = {camera.id: np.zeros((camera.height, camera.width, 3), np.uint8) for camera in world.rig.cameras}
    sent = payloads.zipped({f"a/{name}.png": cv2.imencode(".png", image)[1].tobytes() for name, image in black.items()})
    one, two = (ask(service, rig, sent, part="frames", view=view).json() for view in ("rig", "person"))
    assert (one["view"], two["view"]) == ("rig", "rig")
    assert [frame["view"] for frame in two["frames"]] == ["rig"]
    assert two["frames"] == one["frames"]


def test_heatmaps_cannot_be_cut_again(service: Service, world: World) -> None:
    rig = service.register(world)
    answer = ask(service, rig, payloads.heatmaps(world), view="person")
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "images_needed"
    assert problem["at"] == "query.view"
    assert "send frames" in problem["detail"]
    assert ask(service, rig, payloads.heatmaps(world)).json()["view"] == "rig"


def test_an_unknown_view_is_refused(service: Service, world: World) -> None:
    answer = ask(service, service.register(world), payloads.heatmaps(world), view="room")
    assert answer.status_code == 422


def test_dense_weights_stay_with_the_fixed_views(service: Service, hall: Rig, entries: dict[str, bytes]) -> None:
    rig = register(service, hall)
    pairs = len(hall.pairs)
    dense = replace(
        checkpoint_of(hall), method="naivefuse", theta=None, omega=PLAIN_SUM,
        left=np.zeros((pairs, 4096, 2), np.float16), right=np.zeros((pairs, 2, 4096), np.float16),
    )  # fmt: skip
    store(service, rig, dense, activate=True)
    sent = payloads.zipped(entries)
    refused = ask(service, rig, sent, part="frames", view="person")
    assert refused.status_code == 422
    assert refused.json()["at"] == "query.view"
    assert "dense weights" in refused.json()["detail"]
    assert ask(service, rig, sent, part="frames").json()["view"] == "rig"


def test_the_client_asks_for_a_view(service: Service, hall: Rig, entries: dict[str, bytes], tmp_path: Any) -> None:
    rig = register(service, hall)
    take = tmp_path / "take.zip"
    take.write_bytes(payloads.zipped({name: data for name, data in entries.items() if name.startswith("a/")}))
    with RigFuseClient(str(service.client.base_url)) as client:
        assert client.poses(rig, frames=take).view == "person"
        assert client.poses(rig, frames=take, view="rig").view == "rig"
        npz = client.fused_heatmaps(rig, tmp_path / "fused.npz", frames=take, view="person")
    with np.load(npz) as arrays:
        assert arrays["view_K"][0, 0, 0, 0] > hall.views[0].K[0, 0]

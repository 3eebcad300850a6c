"""Frames of a pose request as one take, and how sure their joints are."""

import io
from pathlib import Path

import httpx
import numpy as np
import payloads
import pytest
from running import Service

from app.client import RigFuseClient
from models.runtime import Engine
from models.smoothing import smooth
from models.worlds import World

FPS = 10.0
pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)  # no database has a part in this


def ask(service: Service, rig: str, data: bytes, **query: str) -> httpx.Response:
    return service.client.post(f"/v1/rigs/{rig}/poses", params=query, files=payloads.files(heatmaps=data))


def points(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    rows = [[[np.nan] * 3 if p is None else p for p in frame["pose3d"]] for frame in answer.json()["frames"]]
    return np.array(rows)


@pytest.mark.parametrize("method", ["savgol", "causal"])
def test_a_take_is_smoothed_in_the_order_of_its_ids(service: Service, world: World, method: str) -> None:
    rig, heatmaps = service.register(world), world.heatmaps.astype(np.float16)
    poses = Engine.unfused(world.rig).poses(heatmaps)
    expected = smooth(poses.pose3d, FPS, method, covariance=poses.covariance)
    count = len(heatmaps)
    shuffled = np.random.default_rng(0).permutation(count)
    data = payloads.heatmaps(world, heatmaps=heatmaps[shuffled], frames=np.array([f"take {i}" for i in shuffled + 5]))
    answer = ask(service, rig, data, smoothing=method, fps=str(FPS))
    np.testing.assert_allclose(points(answer), expected[shuffled], atol=2e-6)
    assert np.abs(points(answer) - poses.pose3d[shuffled])[np.isfinite(poses.pose3d[shuffled])].max() > 1e-3


def test_smoothing_needs_to_know_how_fast_frames_follow(service: Service, world: World) -> None:
    answer = ask(service, service.register(world), payloads.heatmaps(world), smoothing="savgol")
    assert answer.status_code == 422
    assert answer.json()["at"] == "query.fps"
    assert "fps" in answer.json()["detail"]


def test_fps_without_smoothing_is_not_ignored_in_silence(service: Service, world: World) -> None:
    answer = ask(service, service.register(world), payloads.heatmaps(world), fps="25")
    assert (answer.status_code, answer.json()["code"], answer.json()["at"]) == (422, "fps_unused", "query.fps")


@pytest.mark.parametrize("query", [{"smoothing": "median"}, {"smoothing": "savgol", "fps": "0"}, {"fps": "nan"}])
def test_what_makes_no_sense_is_refused(service: Service, world: World, query: dict[str, str]) -> None:
    assert ask(service, service.register(world), payloads.heatmaps(world), **query).status_code == 422


def test_covariances_are_told_where_they_are_asked_for(service: Service, world: World) -> None:
    rig, data = service.register(world), payloads.heatmaps(world)
    assert "covariance" not in ask(service, rig, data).json()["frames"][0]
    frames = ask(service, rig, data, covariance="true").json()["frames"]
    poses = Engine.unfused(world.rig).poses(world.heatmaps.astype(np.float16))
    for index, frame in enumerate(frames):
        for joint, row in enumerate(frame["covariance"]):
            expected = poses.covariance[index, joint][np.triu_indices(3)]
            if frame["pose3d"][joint] is None:
                assert row is None
            elif row is not None:
                np.testing.assert_allclose(row, expected, atol=1e-4 * np.abs(expected).max())


def test_an_npz_holds_them_as_matrices(service: Service, world: World) -> None:
    answer = ask(service, service.register(world), payloads.heatmaps(world), **{"return": "heatmaps"})
    openapi = service.client.get("/openapi.json").json()["paths"]["/v1/rigs/{rig_id}/poses"]["post"]
    told = openapi["responses"]["200"]["content"]["application/x-npz"]["schema"]["description"]
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        assert arrays["covariance"].shape == (*arrays["pose3d"].shape, 3)
        assert all(f"`{name}`" in told for name in arrays)


def test_the_client_asks_for_both(service: Service, world: World, tmp_path: Path) -> None:
    rig, data = service.register(world), payloads.heatmaps(world)
    (tmp_path / "heatmaps.npz").write_bytes(data)
    with RigFuseClient(str(service.client.base_url)) as client:
        document = client.poses(
            rig, heatmaps=tmp_path / "heatmaps.npz", smoothing="causal", fps=FPS, covariance=True
        ).model_dump(mode="json")
    assert document == ask(service, rig, data, smoothing="causal", fps=str(FPS), covariance="true").json()

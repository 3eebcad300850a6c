"""Live frames against a real server: order, overrun, bad frames, who may come in, swaps, and the end."""

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import payloads
import pytest
from pydantic import SecretStr
from running import Service, serving
from sqlalchemy.exc import OperationalError
from stored import checkpoint_of, store
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from app.live import routes
from app.live.messages import Frame, check_frame
from app.live_client import LiveClient, Refused
from app.settings import Settings
from models.runtime import Engine
from models.smoothing import smooth
from models.worlds import World

KEY = "key-of-the-live-tests"
TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def live_service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    changed = {"live_connections": 2, "activation_poll_s": 0.1, "live_message_bytes": 4 << 20, "live_idle_s": 30.0}
    with serving(make_settings(**changed)) as running:
        yield running


def open_stream(service: Service, rig: str, **query: Any) -> LiveClient:
    return LiveClient(str(service.client.base_url), rig, **query)


def cameras(world: World) -> list[str]:
    return [camera.id for camera in world.rig.cameras]


def ask(service: Service, rig: str, world: World, frame: int, **query: str) -> dict[str, Any]:
    data = payloads.heatmaps(
        world, heatmaps=world.heatmaps[frame : frame + 1].astype(np.float16), frames=np.array([str(frame)])
    )
    answer = service.client.post(f"/v1/rigs/{rig}/poses", params=query, files=payloads.files(heatmaps=data))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_each_frame_is_answered_as_a_post_is_and_in_order(live_service: Service, world: World) -> None:
    rig = live_service.register(world)
    checkpoint = store(live_service, rig, checkpoint_of(world.rig), activate=True)
    with open_stream(live_service, rig) as live:
        for index in range(3):
            live.send(world.heatmaps[index], cameras(world))
            answer = live.receive(TIMEOUT_S)
            posted = ask(live_service, rig, world, index)
            assert (answer["sequence"], answer["dropped"], answer["checkpoint"]) == (index, 0, checkpoint)
            assert 0 < answer["latency_ms"] < 1e4
            assert {name: answer[name] for name in posted["frames"][0]} == posted["frames"][0]


def test_images_come_as_a_small_zip(live_service: Service, world: World) -> None:
    rig = live_service.register(world)
    pictures = {camera.id: payloads.image(camera.width, camera.height) for camera in world.rig.cameras}
    sent = payloads.zipped({f"f/{name}.jpg": data for name, data in pictures.items()})
    posted = live_service.client.post(f"/v1/rigs/{rig}/poses", files=payloads.files(frames=sent)).json()
    with open_stream(live_service, rig) as live:
        live.send_images(pictures)
        answer = live.receive(TIMEOUT_S)
    assert answer["poses2d"] == posted["frames"][0]["poses2d"]
    assert answer["view"] == posted["frames"][0]["view"]


def test_the_oldest_frame_is_dropped_when_they_come_too_fast(live_service: Service, world: World) -> None:
    rig, sent = live_service.register(world), 60
    frame = payloads.heatmaps(world, heatmaps=world.heatmaps[0].astype(np.float16), frames=None)
    with open_stream(live_service, rig, checkpoint="epipolar") as live:
        for _ in range(sent):
            live.send_bytes(frame)
        answers = []
        while not answers or answers[-1]["sequence"] < sent - 1:
            answers.append(live.receive(TIMEOUT_S))
    sequence = [answer["sequence"] for answer in answers]
    assert sequence == sorted(set(sequence))
    assert len(answers) + answers[-1]["dropped"] == sent
    assert answers[-1]["dropped"] > sent / 4


def test_a_reader_that_does_not_read_holds_up_nobody_and_nothing_piles_up(live_service: Service, world: World) -> None:
    rig, sent = live_service.register(world), 400
    frame = payloads.heatmaps(world, heatmaps=world.heatmaps[0].astype(np.float16), frames=None)
    with open_stream(live_service, rig) as live:
        for _ in range(sent):
            live.send_bytes(frame)
        last: dict[str, Any] = {"sequence": -1}
        count = 0
        while last["sequence"] < sent - 1:
            last = live.receive(TIMEOUT_S)
            count += 1
    assert count + last["dropped"] == sent
    assert last["dropped"] > 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "binary_needed"),
        (b"no zip at all", "invalid_archive"),
        (payloads.zipped({"cam99.jpg": b"x"}), "unknown_camera"),
        (payloads.npz(heatmaps=np.zeros((3, 17, 64, 64), np.float16)), "invalid_heatmaps"),
        (
            payloads.npz(heatmaps=np.zeros((2, 3, 17, 64, 64), np.float16), frames=np.array(["a", "b"])),
            "too_many_frames",
        ),
    ],
)
def test_a_bad_frame_is_answered_with_its_problem_and_the_stream_lives(
    live_service: Service, world: World, data: bytes, code: str
) -> None:
    rig = live_service.register(world)
    with open_stream(live_service, rig) as live:
        live.send_bytes(data)
        answer = live.receive(TIMEOUT_S)
        assert (answer["sequence"], answer["problem"]["code"]) == (0, code)
        assert answer["problem"]["detail"]
        live.send(world.heatmaps[0], cameras(world))
        assert live.receive(TIMEOUT_S)["sequence"] == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (OperationalError("SELECT", {}, Exception("gone")), "service_unavailable"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_full"),
    ],
)
def test_what_is_away_for_a_moment_ends_no_stream(
    live_service: Service, world: World, monkeypatch: pytest.MonkeyPatch, fault: Exception, code: str
) -> None:
    def fail(*_: object) -> None:
        raise fault

    where = (live_service.app.state.usage, "take_frames") if code != "storage_full" else (Path, "write_bytes")
    with open_stream(live_service, live_service.register(world)) as live:
        with monkeypatch.context() as away:
            away.setattr(*where, fail)
            live.send(world.heatmaps[0], cameras(world))
            assert live.receive(TIMEOUT_S)["problem"]["code"] == code
        live.send(world.heatmaps[0], cameras(world))
        assert live.receive(TIMEOUT_S)["sequence"] == 1


def test_a_message_that_is_too_large_ends_the_stream_with_1009(live_service: Service, world: World) -> None:
    with open_stream(live_service, live_service.register(world)) as live:
        live.send_bytes(bytes(5 << 20))
        with pytest.raises(Refused) as refused:
            live.receive(TIMEOUT_S)
        assert refused.value.code == 1009


def test_there_are_only_so_many_places(live_service: Service, world: World) -> None:
    rig = live_service.register(world)
    with open_stream(live_service, rig), open_stream(live_service, rig):
        with pytest.raises(Refused) as refused:
            open_stream(live_service, rig)
        assert refused.value.code == 503
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            open_stream(live_service, rig).close()
            break
        except Refused:
            assert time.monotonic() < deadline


def test_smoothing_is_that_of_the_causal_filter_and_looks_at_no_frame_to_come(
    live_service: Service, world: World
) -> None:
    rig = live_service.register(world)
    poses = Engine.unfused(world.rig).poses(world.heatmaps[:4].astype(np.float16))
    expected = smooth(poses.pose3d, 25.0, "causal", covariance=poses.covariance)
    with open_stream(live_service, rig, smoothing="causal", fps=25) as live:
        for index in range(4):
            live.send(world.heatmaps[index], cameras(world))
            points = live.receive(TIMEOUT_S)["pose3d"]
            found = np.array([[np.nan] * 3 if point is None else point for point in points])
            np.testing.assert_allclose(found, expected[index], atol=2e-6)


@pytest.mark.parametrize(
    ("query", "status", "at"),
    [
        ({"smoothing": "savgol", "fps": 25}, 422, "smoothing"),
        ({"smoothing": "causal"}, 422, "fps"),
        ({"fps": 25}, 422, "fps"),
        ({"triangulation": "guess"}, 422, "triangulation"),
        ({"checkpoint": "ckp_0"}, 404, "checkpoint"),
        ({"triangulatoin": "dlt"}, 422, "triangulatoin"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_stream_begins(
    *, live_service: Service, world: World, query: dict[str, Any], status: int, at: str
) -> None:
    rig = live_service.register(world)
    url = f"{str(live_service.client.base_url).replace('http', 'ws')}/v1/rigs/{rig}/live?{httpx.QueryParams(query)}"
    with pytest.raises(InvalidStatus) as refused, connect(url):
        pass
    problem = json.loads(refused.value.response.body or b"{}")
    assert (refused.value.response.status_code, problem["at"]) == (status, f"query.{at}")


def test_a_newly_active_checkpoint_takes_over_between_two_frames(live_service: Service, world: World) -> None:
    rig = live_service.register(world)
    first = store(live_service, rig, checkpoint_of(world.rig), activate=True)
    second = store(live_service, rig, checkpoint_of(world.rig, gain=0.5), activate=False)
    expected = {
        name: Engine.load(world.rig, checkpoint_of(world.rig, gain)).poses(world.heatmaps[:1].astype(np.float16))
        for name, gain in ((first, 1.0), (second, 0.5))
    }
    seen, deadline = [], time.monotonic() + TIMEOUT_S
    with open_stream(live_service, rig) as live:
        while second not in seen and time.monotonic() < deadline:
            live.send(world.heatmaps[0], cameras(world))
            answer = live.receive(TIMEOUT_S)
            if not seen:
                assert live_service.client.post(f"/v1/checkpoints/{second}/activate").status_code == 200
            seen.append(answer["checkpoint"])
            points = np.array([[np.nan] * 3 if p is None else p for p in answer["poses2d"][cameras(world)[0]]])
            np.testing.assert_allclose(points[:, :2], expected[seen[-1]].poses2d[0, 0], atol=1e-3)
    assert (seen[0], seen[-1]) == (first, second)
    assert seen == sorted(seen, key=[first, second].index)


@pytest.fixture(scope="module")
def guarded(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    settings = make_settings(environment="production", api_keys=(SecretStr(KEY),), live_idle_s=0.5)
    with serving(settings, Authorization=f"Bearer {KEY}") as running:
        yield running


def test_a_key_is_needed_and_may_come_as_a_subprotocol(guarded: Service, world: World) -> None:
    rig = guarded.register(world)
    for wrong in (None, "another-key-than-that"):
        with pytest.raises(Refused) as refused:
            open_stream(guarded, rig, api_key=wrong)
        assert refused.value.code == 401
    with pytest.raises(Refused) as refused:
        open_stream(guarded, "rig_0", api_key=KEY)
    assert refused.value.code == 404
    url = f"{str(guarded.client.base_url).replace('http', 'ws')}/v1/rigs/{rig}/live"
    offered = [Subprotocol("rigfuse.live"), Subprotocol(f"bearer.{KEY}")]
    with connect(url, subprotocols=offered) as socket:
        assert socket.subprotocol == "rigfuse.live"
    offered = [Subprotocol("rigfuse.live"), Subprotocol("bearer.wrong")]
    with pytest.raises(InvalidStatus), connect(url, subprotocols=offered):
        pass


def test_a_stream_without_frames_is_closed(guarded: Service, world: World) -> None:
    with open_stream(guarded, guarded.register(world), api_key=KEY) as live:
        with pytest.raises(Refused) as ended:
            live.receive(TIMEOUT_S)
        assert ended.value.code == 4408


def test_the_stream_of_a_rig_that_is_archived_ends(
    live_service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_CHECK_S", 0.05)
    rig = live_service.register(world)
    with open_stream(live_service, rig) as live:
        live.send(world.heatmaps[0], cameras(world))
        assert live.receive(TIMEOUT_S)["sequence"] == 0
        assert live_service.client.delete(f"/v1/rigs/{rig}").status_code == 204
        with pytest.raises(Refused) as ended:
            live.receive(TIMEOUT_S)
    assert ended.value.code == 4404


def test_streams_are_told_that_the_service_ends(make_settings: Callable[..., Settings], world: World) -> None:
    codes: list[int] = []
    with serving(make_settings()) as running:
        live = open_stream(running, running.register(world))
        live.send(world.heatmaps[0], cameras(world))
        assert live.receive(TIMEOUT_S)["sequence"] == 0

        def listen() -> None:
            try:
                live.receive(TIMEOUT_S)
            except (Refused, ConnectionClosed) as ended:
                codes.append(getattr(ended, "code", 0))

        listener = threading.Thread(target=listen)
        listener.start()
    listener.join(TIMEOUT_S)
    assert codes == [1012]


def test_the_folder_of_a_stream_that_lasts_for_days_does_not_look_abandoned(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    data = payloads.heatmaps(world, heatmaps=world.heatmaps[0].astype(np.float16), frames=None)
    for sequence in (0, 1):
        os.utime(tmp_path, (0, 0))
        check_frame(Frame(sequence, data, 0.0), tmp_path, world.rig, settings)
        assert time.time() - tmp_path.stat().st_mtime < 60

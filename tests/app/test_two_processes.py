"""Two API processes on one database: an activation reaches both at once, and what is coming is loaded ahead."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import payloads
import pytest
from running import Service, serving
from stored import checkpoint_of, store

from app.poses.engines import Fusion
from app.settings import Settings
from app.tables import CheckpointRow, RigServingRow, utc_now
from models.runtime import Engine
from models.worlds import World

TIMEOUT_S = 30.0
POLL_S = 0.1


@contextmanager
def another_process(settings: Settings, port: int) -> Iterator[httpx.Client]:
    """``rigfuse api`` beside the one of the test, on the same database and artifacts."""
    given = {
        "RIGFUSE_ENVIRONMENT": "embedded", "RIGFUSE_DATA_DIR": str(settings.data_dir), "RIGFUSE_PORT": str(port),
        "RIGFUSE_DATABASE_URL": settings.database_url, "RIGFUSE_BROKER_URL": settings.broker_url,
        "RIGFUSE_ACTIVATION_POLL_S": str(POLL_S), "RIGFUSE_THREADS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "app.cli", "api"]
    with subprocess.Popen(command, env=os.environ | given, stdout=subprocess.DEVNULL) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_S) as client:
                deadline = time.monotonic() + TIMEOUT_S
                while True:
                    try:
                        client.get("/healthz").raise_for_status()
                        break
                    except httpx.TransportError:
                        assert process.poll() is None
                        assert time.monotonic() < deadline
                        time.sleep(0.05)
                yield client
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)


def points_of(body: dict[str, Any]) -> np.ndarray:
    rows = [[np.nan] * 3 if point is None else point for point in next(iter(body["frames"][0]["poses2d"].values()))]
    return np.array(rows)[:, :2]


def test_after_an_activation_every_process_serves_the_new_checkpoint_and_none_mixes(
    make_settings: Callable[..., Settings], new_database_url: Callable[[str], str], world: World
) -> None:
    settings = make_settings(database_url=new_database_url("postgresql"), activation_poll_s=POLL_S)
    maps = world.heatmaps[:1].astype(np.float16)
    data = payloads.heatmaps(world, heatmaps=maps, frames=np.array(["a"]))
    seen: list[list[tuple[float, float, str, np.ndarray]]] = [[], []]
    stop = threading.Event()
    with serving(settings) as one, another_process(settings, free_port()) as two:
        rig = one.register(world)
        made = {
            store(one, rig, checkpoint_of(world.rig, gain), activate=gain == 1.0): gain for gain in (1.0, 0.5)
        }  # fmt: skip
        first, second = made
        expected = {
            name: Engine.load(world.rig, checkpoint_of(world.rig, gain)).poses(maps).poses2d[0, 0]
            for name, gain in made.items()
        }

        def ask(client: httpx.Client, answers: list[tuple[float, float, str, np.ndarray]]) -> None:
            while not stop.is_set():
                asked = time.monotonic()
                answer = client.post(f"/v1/rigs/{rig}/poses", files=payloads.files(heatmaps=data))
                assert answer.status_code == 200, answer.text
                body = answer.json()
                answers.append((asked, time.monotonic(), body["checkpoint"], points_of(body)))

        threads = [threading.Thread(target=ask, args=pair) for pair in zip((one.client, two), seen, strict=True)]
        for thread in threads:
            thread.start()
        while min(len(answers) for answers in seen) < 5:
            time.sleep(0.01)
        with httpx.Client(base_url=two.base_url, timeout=TIMEOUT_S) as activating:
            began = time.monotonic()
            assert activating.post(f"/v1/checkpoints/{second}/activate").status_code == 200
            done = time.monotonic()
        counts = [len(answers) for answers in seen]
        while any(len(answers) < count + 5 for answers, count in zip(seen, counts, strict=True)):
            time.sleep(0.01)
        stop.set()
        for thread in threads:
            thread.join()
    for asked, answered, name, points in (*seen[0], *seen[1]):
        np.testing.assert_allclose(points, expected[name], atol=1e-3)  # the answer names what really served it
        assert name == (first if answered < began else second if asked > done else name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_becomes_active_elsewhere_is_loaded_before_anybody_asks(
    make_settings: Callable[..., Settings], world: World
) -> None:
    with serving(make_settings(activation_poll_s=POLL_S)) as running:
        rig, engines = running.register(world), running.app.state.serving.engines
        first = store(running, rig, checkpoint_of(world.rig), activate=True)
        sent = payloads.files(heatmaps=payloads.heatmaps(world))
        assert running.client.post(f"/v1/rigs/{rig}/poses", files=sent).json()["checkpoint"] == first
        time.sleep(3 * POLL_S)
        second = store(running, rig, checkpoint_of(world.rig, gain=0.5), activate=True)  # as a worker would
        until(lambda: engines.has(world.rig.digest, Fusion(second)))


def test_rigs_used_last_and_pinned_ones_are_loaded_at_the_start_within_the_limits(
    make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data_dir, made = tmp_path_factory.mktemp("warm"), {}
    with serving(make_settings(data_dir=data_dir)) as running:
        worlds = {name: payloads.world(seed, frames=1) for seed, name in enumerate(("old", "used", "pinned", "named"))}
        rigs = {name: running.register(each, name) for name, each in worlds.items()}
        for name, rig in rigs.items():
            made[name] = store(running, rig, checkpoint_of(worlds[name].rig), activate=True)
        with running.app.state.db.session() as session:
            session.get_one(CheckpointRow, made["pinned"]).pinned = True
            for name in ("old", "used"):
                session.merge(RigServingRow(rig_id=rigs[name], last_request_at=utc_now(), requests=1, frames=1))
                time.sleep(0.01)
    digests = {name: each.rig.digest for name, each in worlds.items()}
    settings = make_settings(data_dir=data_dir, engine_cache=1, pinned_rigs=(rigs["named"],), activation_poll_s=POLL_S)
    with serving(settings) as running:
        engines = running.app.state.serving.engines
        wanted = {(digests[name], made[name]) for name in ("named", "pinned", "used")}
        until(lambda: wanted <= set(engines.loaded()))
        for name in ("old", "used", "old"):
            _ask(running, rigs[name], worlds[name])
        until(lambda: set(engines.loaded()) == {(digests[name], made[name]) for name in ("named", "pinned", "old")})


def _ask(running: Service, rig: str, world: World) -> None:
    sent = payloads.files(heatmaps=payloads.heatmaps(world))
    assert running.client.post(f"/v1/rigs/{rig}/poses", files=sent).status_code == 200

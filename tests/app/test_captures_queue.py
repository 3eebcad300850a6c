"""Captures wait for their turn to be checked, and hold up nobody else."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import payloads
import pytest
from running import Service, serving

from app.captures import routes, service
from app.settings import Settings
from models.worlds import World


@pytest.fixture
def narrow(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    """A service that checks one capture at a time."""
    with serving(make_settings(capture_concurrency=1)) as running:
        yield running


def test_captures_wait_for_their_turn_and_too_many_are_refused(
    narrow: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, may_go_on, checking = service.check, threading.Event(), []

    def slow_check(*arguments: Any) -> Any:
        checking.append(1)
        assert may_go_on.wait(30)
        return check(*arguments)

    monkeypatch.setattr(service, "check", slow_check)
    monkeypatch.setattr(routes, "MAX_WAITING", 1)
    rig, sent, slots = narrow.register(world), payloads.capture(world), narrow.app.state.capture_slots
    with ThreadPoolExecutor(2) as pool:
        try:
            accepted = [pool.submit(narrow.upload, rig, sent) for _ in range(2)]
            deadline = time.monotonic() + 20
            while not (checking and slots.statistics().tasks_waiting) and time.monotonic() < deadline:
                time.sleep(0.01)
            refused = narrow.upload(rig, sent)
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            poses = narrow.client.post(f"/v1/rigs/{rig}/poses", files=payloads.files(heatmaps=payloads.heatmaps(world)))
            assert poses.status_code == 200
            assert len(checking) == 1
        finally:
            may_go_on.set()
        assert [answer.result().status_code for answer in accepted] == [201, 201]
    assert narrow.upload(rig, sent).status_code == 201

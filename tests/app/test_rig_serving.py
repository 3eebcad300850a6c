"""How rigs are served of late: counted beside the requests, added up over processes."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import payloads
import pytest
from running import Service, serving
from sqlalchemy import select
from stored import checkpoint_of, store

from app.db import Database
from app.poses import attendant
from app.poses.tally import MEMORY, Agreement, Tally
from app.settings import Settings
from app.tables import RigRow, RigServingRow
from models.runtime import Engine
from models.worlds import World

TIMEOUT_S = 20.0


@pytest.fixture
def database(database_url: str) -> Database:
    made = Database(database_url)
    with made.session() as session:
        session.add_all([RigRow(id=name, name=name, digest="0" * 64, document={}) for name in ("a", "b")])
    return made


def rows(database: Database) -> dict[str, RigServingRow]:
    with database.read_session() as session:
        return {row.rig_id: row for row in session.scalars(select(RigServingRow))}


def write(database: Database, tally: Tally) -> None:
    with database.session() as session:
        tally.write(session)


def test_counts_of_processes_add_up_and_the_average_fades(database: Database) -> None:
    one, two = Tally(), Tally()
    for _ in range(10):
        one.note("a", "ckp_1", 2, Agreement(4.0, 3.0))
        two.note("a", "ckp_1", 1, Agreement(8.0, 2.0))
    one.note("gone", "ckp_1", 1, None)  # a rig that was deleted meanwhile
    write(database, one)
    write(database, two)
    write(database, one)  # nothing new
    row = rows(database)["a"]
    keep = (1 - 1 / MEMORY) ** 10
    assert (row.requests, row.frames, row.checkpoint_id) == (20, 30, "ckp_1")
    assert row.reprojection_px == pytest.approx(4 * keep + 8 * (1 - keep))
    assert row.views_used == pytest.approx(3 * keep + 2 * (1 - keep))
    assert list(rows(database)) == ["a"]
    database.dispose()


def test_another_checkpoint_begins_a_new_average(database: Database) -> None:
    tally = Tally()
    tally.note("a", "ckp_1", 1, Agreement(9.0, 4.0))
    tally.note("b", None, 1, None)
    write(database, tally)
    assert rows(database)["b"].reprojection_px is None
    tally.note("a", "ckp_1", 1, Agreement(9.0, 4.0))
    tally.note("a", "ckp_2", 1, Agreement(2.0, 3.0))
    tally.note("a", "ckp_2", 1, None)  # nobody was to be seen
    tally.note("b", None, 1, Agreement(3.0, 2.5))
    write(database, tally)
    found = rows(database)
    assert (found["a"].requests, found["a"].checkpoint_id, found["a"].reprojection_px) == (4, "ckp_2", 2.0)
    assert (found["b"].reprojection_px, found["b"].views_used) == (3.0, 2.5)
    database.dispose()


@pytest.fixture
def hasty(make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(attendant, "WRITE_S", 0.1)
    with serving(make_settings(activation_poll_s=0.05)) as running:
        yield running


def read_until(service: Service, rig: str, requests: int) -> dict[str, Any]:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        answer = service.client.get(f"/v1/rigs/{rig}/serving")
        assert answer.status_code == 200, answer.text
        if answer.json()["requests"] >= requests or time.monotonic() > deadline:
            return dict(answer.json())
        time.sleep(0.05)


def test_drift_is_told_against_what_the_checkpoint_promised(hasty: Service, world: World) -> None:
    rig, sent = hasty.register(world), payloads.files(heatmaps=payloads.heatmaps(world))
    nothing = hasty.client.get(f"/v1/rigs/{rig}/serving").json()
    assert (nothing["requests"], nothing["last_request_at"], nothing["drift"]) == (0, None, None)
    median = float(np.nanmedian(Engine.load(world.rig, checkpoint_of(world.rig)).poses(world.heatmaps).reprojection_px))
    for promised, word in ((median * 2, "ok"), (median / 2, "drifting")):
        metrics = {"fused": {"reprojection_px": 99.0, "reprojection_median_px": promised}}
        made = store(hasty, rig, replace(checkpoint_of(world.rig), metrics=metrics), activate=True)
        before = hasty.client.get(f"/v1/rigs/{rig}/serving").json()["requests"]
        assert hasty.client.post(f"/v1/rigs/{rig}/poses", files=sent).json()["checkpoint"] == made
        other = hasty.client.post(f"/v1/rigs/{rig}/poses", files=sent, params={"checkpoint": "epipolar"})
        assert other.status_code == 200
        told = read_until(hasty, rig, before + 1)
        assert (told["requests"], told["checkpoint"]) == (before + 1, made)  # what was asked for by name is not counted
        assert told["frames"] == (before + 1) * payloads.FRAMES
        assert told["reprojection_px"] == pytest.approx(median, rel=0.01)
        assert 2 <= told["views_used"] <= 3
        assert told["drift"]["word"] == word
        assert told["drift"]["ratio"] == pytest.approx(median / promised, rel=0.02)
    assert hasty.client.get("/v1/rigs/rig_0/serving").status_code == 404

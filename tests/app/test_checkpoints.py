"""Checkpoints over HTTP: listing, reading, downloading, activating, and the way back."""

import hashlib
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from job_rows import add_capture, add_job
from running import Service
from sqlalchemy import select
from stored import checkpoint_of

from app.checkpoints.activation import Action, read_history
from app.tables import ActivationRow, CheckpointRow, RigRow, new_id
from models.rig import Rig
from models.worlds import World


@pytest.fixture
def rig(service: Service, world: World) -> str:
    return service.register(world)


def add_checkpoint(service: Service, rig: str, data: bytes | None = None, *, promoted: bool = True) -> str:
    """A checkpoint of the rig, with its artifact: ``data``, or one that can serve."""
    database, artifacts = service.app.state.db, service.app.state.artifacts
    if data is None:
        with database.read_session() as session:
            data = checkpoint_of(Rig.from_dict(session.get_one(RigRow, rig).document)).to_bytes()
    capture = add_capture(database, rig)
    row = CheckpointRow(
        id=new_id("ckp"), rig_id=rig, capture_id=capture, adaptation_id=add_job(database, rig, capture),
        method="metafuse", seed=3, artifact_sha256=artifacts.put_bytes(data), size_bytes=len(data),
        manifest={"seed": 3, "digests": {"rig": "r"}, "metrics": {"fused": {"jdr": 0.9}}},
        promoted=promoted, reason="better",
    )  # fmt: skip
    with database.session() as session:
        session.add(row)
    return row.id


def activate(service: Service, checkpoint: str) -> httpx.Response:
    return service.client.post(f"/v1/checkpoints/{checkpoint}/activate")


def roll_back(service: Service, rig: str) -> httpx.Response:
    return service.client.post(f"/v1/rigs/{rig}/rollback")


def active(service: Service, rig: str) -> Any:
    return service.client.get(f"/v1/rigs/{rig}").json()["active_checkpoint"]


def history(service: Service, rig: str) -> list[tuple[str, str | None]]:
    query = select(ActivationRow.action, ActivationRow.checkpoint_id).where(ActivationRow.rig_id == rig)
    with service.app.state.db.read_session() as session:
        return [(action, checkpoint) for action, checkpoint in session.execute(query.order_by(ActivationRow.id))]


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_checkpoints_are_listed_newest_first_with_the_active_one(service: Service, rig: str) -> None:
    old, new = add_checkpoint(service, rig), add_checkpoint(service, rig, promoted=False)
    activate(service, old)
    items = service.client.get(f"/v1/rigs/{rig}/checkpoints").json()["items"]
    assert [(item["id"], item["active"], item["promoted"]) for item in items] == [
        (new, False, False),
        (old, True, True),
    ]
    assert_problem(service.client.get("/v1/rigs/rig_none/checkpoints"), 404, "rig_not_found")


def test_the_manifest_tells_the_lineage(service: Service, rig: str) -> None:
    answer = service.client.get(f"/v1/checkpoints/{add_checkpoint(service, rig, b'tensors')}").json()
    digest = hashlib.sha256(b"tensors").hexdigest()
    assert answer["manifest"]["digests"] == {"rig": "r", "artifact": digest}
    assert answer["manifest"]["metrics"] == {"fused": {"jdr": 0.9}}
    assert (answer["rig"], answer["artifact_sha256"], answer["size_bytes"]) == (rig, digest, 7)


def test_the_artifact_comes_with_its_digest_as_etag(service: Service, rig: str) -> None:
    path = f"/v1/checkpoints/{add_checkpoint(service, rig, b'tensors')}/artifact"
    answer = service.client.get(path)
    assert answer.content == b"tensors"
    etag = answer.headers["etag"]
    assert etag == f'"{hashlib.sha256(b"tensors").hexdigest()}"'
    assert ".safetensors" in answer.headers["content-disposition"]
    again = service.client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert service.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_damaged_bytes_are_neither_sent_nor_activated(service: Service, rig: str) -> None:
    data = f"damaged {rig}".encode()
    checkpoint = add_checkpoint(service, rig, data)
    service.app.state.artifacts.path(hashlib.sha256(data).hexdigest()).write_bytes(b"x" * len(data))
    assert_problem(service.client.get(f"/v1/checkpoints/{checkpoint}/artifact"), 500, "corrupt_artifact")
    assert_problem(activate(service, checkpoint), 500, "corrupt_artifact")
    assert active(service, rig) is None


def test_nobody_rolls_back_to_damaged_bytes(service: Service, rig: str) -> None:
    first, second = add_checkpoint(service, rig), add_checkpoint(service, rig)
    assert [activate(service, checkpoint).status_code for checkpoint in (first, second)] == [200, 200]
    sha256 = service.client.get(f"/v1/checkpoints/{first}").json()["artifact_sha256"]
    path = service.app.state.artifacts.path(sha256)
    whole = path.read_bytes()
    path.write_bytes(b"x" * len(whole))
    try:
        assert_problem(roll_back(service, rig), 500, "corrupt_artifact")
        assert active(service, rig) == second
    finally:
        path.write_bytes(whole)  # other tests have checkpoints of the same bytes
    assert roll_back(service, rig).json()["active_checkpoint"] == first


def test_an_operator_may_activate_what_was_not_promoted(service: Service, rig: str) -> None:
    checkpoint = add_checkpoint(service, rig, promoted=False)
    answer = activate(service, checkpoint)
    assert answer.status_code == 200
    assert answer.json()["active"] is True
    assert activate(service, checkpoint).status_code == 200  # twice is no second change
    assert active(service, rig) == checkpoint
    assert history(service, rig) == [("activated", checkpoint)]


def test_rolling_back_goes_the_way_back_to_no_fusion(service: Service, rig: str) -> None:
    first, second, third = (add_checkpoint(service, rig) for _ in range(3))
    for checkpoint in (first, second, third):
        activate(service, checkpoint)
    expected = [(third, second), (second, first), (first, None)]
    for gone, back in expected:
        answer = roll_back(service, rig)
        assert answer.json() == {"rig": rig, "active_checkpoint": back, "rolled_back": gone}
        assert active(service, rig) == back
    assert_problem(roll_back(service, rig), 409, "no_rollback")
    assert history(service, rig)[3:] == [("rolled_back", second), ("rolled_back", first), ("rolled_back", None)]


def test_after_a_rollback_a_new_activation_is_undone_first(service: Service, rig: str) -> None:
    first, second, third = (add_checkpoint(service, rig) for _ in range(3))
    activate(service, first)
    activate(service, second)
    roll_back(service, rig)
    activate(service, third)
    assert roll_back(service, rig).json()["active_checkpoint"] == first
    assert roll_back(service, rig).json()["active_checkpoint"] is None


def test_an_archived_rig_changes_no_more(service: Service, rig: str) -> None:
    checkpoint = add_checkpoint(service, rig)
    activate(service, checkpoint)
    service.client.delete(f"/v1/rigs/{rig}")
    assert_problem(roll_back(service, rig), 409, "rig_archived")
    assert_problem(activate(service, checkpoint), 409, "rig_archived")
    with service.app.state.db.read_session() as session:
        assert session.get_one(RigRow, rig).active_checkpoint_id == checkpoint


@pytest.mark.parametrize(("method", "what"), [("GET", ""), ("GET", "/artifact"), ("POST", "/activate")])
def test_an_unknown_checkpoint_is_404(service: Service, method: str, what: str) -> None:
    assert_problem(service.client.request(method, f"/v1/checkpoints/ckp_none{what}"), 404, "checkpoint_not_found")


@given(st.lists(st.sampled_from(["a", "b", "c", None])))
def test_a_history_read_back_is_what_was_on_top(steps: list[str | None]) -> None:
    """None rolls back; what is read must equal a stack kept along the way."""
    stack: list[str] = []
    written: list[tuple[Action, str | None]] = []
    for step in steps:
        if step is not None:
            stack.append(step)
            written.append((Action.ACTIVATED, step))
        elif stack:
            stack.pop()
            written.append((Action.ROLLED_BACK, stack[-1] if stack else None))
        assert read_history(written) == stack

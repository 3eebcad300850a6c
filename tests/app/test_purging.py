"""Purging over HTTP: bytes that are really gone, rows that stay, and what is refused then."""

from collections.abc import Callable
from typing import Any

import httpx
import payloads
import pytest
from job_rows import add_job, events_of, get_job
from pydantic import SecretStr
from running import Service, serving
from sqlalchemy import select
from stored import checkpoint_of, store

from app.adaptations.states import State
from app.settings import Settings
from app.tables import AdaptationPartRow, AuditRow, CaptureRow
from models.worlds import World


@pytest.fixture
def rig(service: Service, world: World) -> str:
    return service.register(world)


def upload(service: Service, rig: str, name: str) -> dict[str, Any]:
    """A capture whose labels and heatmaps are those of nothing that has another name."""
    seen = payloads.world()
    frames = [f"{name}-{index:06d}" for index in range(payloads.FRAMES)]
    labels = payloads.labels_document(seen)
    for frame, its_name in zip(labels["frames"], frames, strict=True):
        frame["frame"] = its_name
    sent = payloads.files(labels, heatmaps=payloads.heatmaps(seen, frames=frames))
    answer = service.upload(rig, sent)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def digests(service: Service, capture: str) -> set[str]:
    with service.app.state.db.read_session() as session:
        row = session.get_one(CaptureRow, capture)
        return {row.labels_sha256, row.source_sha256}


def held(service: Service, capture: str) -> set[str]:
    return {sha256 for sha256 in digests(service, capture) if service.app.state.artifacts.holds(sha256)}


def audit(service: Service, subject: str) -> list[tuple[str, Any]]:
    with service.app.state.db.read_session() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.subject == subject).order_by(AuditRow.id))
        return [(row.action, row.detail.get("reason")) for row in rows]


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_purged_capture_is_gone_and_remembered(service: Service, rig: str) -> None:
    sealed = upload(service, rig, "a")
    assert sealed["purged_at"] is None
    assert sealed["size_bytes"] > 100_000
    names = digests(service, sealed["id"])
    assert held(service, sealed["id"]) == names
    waiting = add_job(service.app.state.db, rig, sealed["id"])
    heatmaps = service.app.state.artifacts.put_bytes(b"made of the frames")
    with service.app.state.db.session() as session:
        session.add(AdaptationPartRow(adaptation_id=waiting, number=0, work={}, artifact_sha256=heatmaps))
    answer = service.client.delete(f"/v1/captures/{sealed['id']}")
    assert answer.status_code == 200
    assert answer.json() == {**sealed, "purged_at": answer.json()["purged_at"]}
    assert answer.json()["purged_at"] is not None
    assert held(service, sealed["id"]) == set()
    assert not service.app.state.artifacts.holds(heatmaps)
    assert not any(path.name in names for path in service.app.state.artifacts.root.rglob("*"))
    assert service.client.delete(f"/v1/captures/{sealed['id']}").json() == answer.json()
    assert audit(service, sealed["id"]) == [("capture.purged", "request")]

    job = get_job(service.app.state.db, waiting)
    assert (job.state, (job.error or {})["code"]) == (State.FAILED, "capture_purged")
    assert events_of(service.app.state.db, waiting)[-1].kind == "failed"
    again = service.client.post(f"/v1/rigs/{rig}/adaptations", json={"capture": sealed["id"]})
    assert_problem(again, 409, "capture_purged")
    assert service.client.get(f"/v1/rigs/{rig}/captures").json()["items"][0]["purged_at"] is not None
    assert_problem(service.client.delete("/v1/captures/cap_none"), 404, "capture_not_found")
    assert_problem(service.client.delete("/v1/captures/%00"), 404, "capture_not_found")


def test_a_capture_in_use_is_not_purged(service: Service, rig: str) -> None:
    sealed = upload(service, rig, "b")
    running = add_job(service.app.state.db, rig, sealed["id"], state=State.RUNNING)
    waiting = add_job(service.app.state.db, rig, sealed["id"])
    refused = service.client.delete(f"/v1/captures/{sealed['id']}")
    assert_problem(refused, 409, "capture_in_use")
    assert repr(running) in refused.json()["detail"]
    assert_problem(service.client.delete(f"/v1/rigs/{rig}", params={"purge": True}), 409, "capture_in_use")
    assert len(held(service, sealed["id"])) == 2
    assert get_job(service.app.state.db, waiting).state == State.QUEUED
    assert get_job(service.app.state.db, running).state == State.RUNNING
    assert service.client.get(f"/v1/rigs/{rig}").json()["archived_at"] is None


def test_bytes_that_another_capture_has_too_stay_until_that_is_purged(service: Service, world: World) -> None:
    first, second = (service.register(world) for _ in range(2))
    mine, theirs = upload(service, first, "c"), upload(service, second, "c")
    assert digests(service, mine["id"]) == digests(service, theirs["id"])
    service.client.delete(f"/v1/captures/{mine['id']}")
    assert len(held(service, theirs["id"])) == 2
    service.client.delete(f"/v1/captures/{theirs['id']}")
    assert held(service, theirs["id"]) == set()
    assert len(held(service, upload(service, first, "c")["id"])) == 2  # and may come again


def test_a_purged_rig_keeps_its_rows_only(service: Service, rig: str, world: World) -> None:
    sealed = upload(service, rig, "d")
    checkpoint = store(service, rig, checkpoint_of(world.rig, gain=1.21), activate=False)
    assert service.client.post(f"/v1/checkpoints/{checkpoint}/activate", json={"reason": "try it"}).status_code == 200
    assert service.client.post(f"/v1/checkpoints/{checkpoint}/pin").json()["pinned"] is True
    answer = service.client.delete(f"/v1/rigs/{rig}", params={"purge": True})
    assert answer.status_code == 204, answer.text
    assert held(service, sealed["id"]) == set()
    after = service.client.get(f"/v1/checkpoints/{checkpoint}").json()
    assert (after["purged_at"] is not None, after["active"]) == (True, False)
    assert not service.app.state.artifacts.holds(after["artifact_sha256"])
    assert service.client.get(f"/v1/rigs/{rig}").json()["status"] == "archived"
    assert audit(service, sealed["id"]) == [("capture.purged", "rig")]
    told = [action for action, _ in audit(service, rig)]
    assert told[-4:] == ["checkpoint.activated", "checkpoint.withdrawn", "rig.archived", "rig.purged"]
    assert service.client.delete(f"/v1/rigs/{rig}", params={"purge": True}).status_code == 204
    assert [action for action, _ in audit(service, rig)] == told


def test_a_checkpoint_is_purged_unless_it_serves_or_is_pinned(service: Service, rig: str, world: World) -> None:
    checkpoint = store(service, rig, checkpoint_of(world.rig, gain=1.22), activate=False)
    path = f"/v1/checkpoints/{checkpoint}"
    service.client.post(f"{path}/activate")
    assert_problem(service.client.delete(path), 409, "checkpoint_active")
    service.client.post(f"/v1/rigs/{rig}/rollback")
    service.client.post(f"{path}/pin")
    assert_problem(service.client.delete(path), 409, "checkpoint_pinned")
    service.client.post(f"{path}/unpin")
    answer = service.client.delete(path)
    assert (answer.status_code, answer.json()["purged_at"] is not None) == (200, True)
    assert service.client.delete(path).json() == answer.json()
    for method, what in (("POST", "/activate"), ("POST", "/pin"), ("GET", "/artifact")):
        assert_problem(service.client.request(method, path + what), 409, "checkpoint_purged")
    frames = {"heatmaps": payloads.capture(world)["heatmaps"]}
    asked = service.client.post(f"/v1/rigs/{rig}/poses", params={"checkpoint": checkpoint}, files=frames)
    assert_problem(asked, 409, "checkpoint_purged")
    assert service.client.get(path).json()["manifest"]["method"] == "metafuse"
    assert [action for action, _ in audit(service, checkpoint)] == [
        "checkpoint.pinned",
        "checkpoint.unpinned",
        "checkpoint.purged",
    ]


def test_rolling_back_passes_over_what_was_purged(service: Service, rig: str, world: World) -> None:
    first, second, third = (
        store(service, rig, checkpoint_of(world.rig, gain=gain), activate=False) for gain in (1.31, 1.32, 1.33)
    )
    for checkpoint in (first, second, third):
        service.client.post(f"/v1/checkpoints/{checkpoint}/activate", json={"reason": f"trying {checkpoint}"})
    service.client.delete(f"/v1/checkpoints/{second}")
    back = service.client.post(f"/v1/rigs/{rig}/rollback", json={"reason": "worse"})
    assert back.json()["active_checkpoint"] == first
    history = service.client.get(f"/v1/rigs/{rig}/activations", params={"limit": 3}).json()
    assert [(item["action"], item["checkpoint"], item["reason"]) for item in history["items"]] == [
        ("rolled_back", first, "worse"),
        ("activated", third, f"trying {third}"),
        ("activated", second, f"trying {second}"),
    ]
    assert {item["actor"] for item in history["items"]} == {"local"}
    rest = service.client.get(f"/v1/rigs/{rig}/activations", params={"cursor": history["next_cursor"]}).json()
    assert ([item["checkpoint"] for item in rest["items"]], rest["next_cursor"]) == ([first], None)
    assert service.client.post(f"/v1/rigs/{rig}/rollback").json()["active_checkpoint"] is None


def test_how_long_things_are_kept_is_said_per_rig(service: Service, rig: str) -> None:
    sealed = upload(service, rig, "g")
    assert sealed["keep_until"] is None
    changed = service.client.patch(f"/v1/rigs/{rig}", json={"capture_retention_days": 7, "checkpoints_kept": 3})
    assert (changed.json()["capture_retention_days"], changed.json()["checkpoints_kept"]) == (7, 3)
    until = service.client.get(f"/v1/captures/{sealed['id']}").json()["keep_until"]
    assert until[:10] > sealed["created_at"][:10]
    service.client.patch(f"/v1/rigs/{rig}", json={"capture_retention_days": 0})
    assert service.client.get(f"/v1/captures/{sealed['id']}").json()["keep_until"] is None
    refused = service.client.patch(f"/v1/rigs/{rig}", json={"capture_retention_days": -1})
    assert_problem(refused, 422, "invalid_input")
    assert [action for action, _ in audit(service, rig)][-2:] == ["rig.retention", "rig.retention"]
    again = service.client.patch(f"/v1/rigs/{rig}", json={"capture_retention_days": None, "name": None}).json()
    assert (again["capture_retention_days"], again["checkpoints_kept"], again["name"]) == (
        None,
        3,
        changed.json()["name"],
    )


def test_only_an_administrator_purges_and_says_how_long_things_are_kept(
    make_settings: Callable[..., Settings], world: World
) -> None:
    root = "an-administrator-of-the-tests"
    with serving(make_settings(environment="production", api_keys=(SecretStr(root),))) as service:
        service.client.headers["Authorization"] = f"Bearer {root}"
        rig = service.register(world)
        capture = upload(service, rig, "m")["id"]
        keys = {
            studio: service.client.post(
                "/v1/keys", json={"name": f"of {studio!r}", "scopes": scopes, "studio": studio}
            ).json()["key"]
            for studio, scopes in (("", ["read", "write"]), ("another", ["read", "write", "admin"]))
        }
        asked = [
            ("DELETE", f"/v1/captures/{capture}", {}),
            ("DELETE", f"/v1/rigs/{rig}?purge=true", {}),
            ("PATCH", f"/v1/rigs/{rig}", {"json": {"capture_retention_days": 1}}),
            ("POST", "/v1/bundles", {"files": {"bundle": b"x"}}),
        ]
        answers = {
            studio: [
                service.client.request(method, path, headers={"Authorization": f"Bearer {key}"}, **sent).status_code
                for method, path, sent in asked
            ]
            for studio, key in keys.items()
        }
        assert answers == {"": [403, 403, 403, 403], "another": [404, 404, 404, 422]}
        assert len(held(service, capture)) == 2
        assert service.client.delete(f"/v1/captures/{capture}").status_code == 200


def test_while_the_store_is_away_nothing_is_said_to_be_gone(service: Service, rig: str) -> None:
    capture = upload(service, rig, "a")["id"]
    root = service.app.state.artifacts.root
    away = root.rename(root.with_suffix(".away"))
    for answer in (
        service.client.delete(f"/v1/captures/{capture}"),
        service.upload(rig, payloads.capture(payloads.world())),
    ):
        assert_problem(answer, 503, "service_unavailable")
        assert answer.json()["at"] == "artifacts"
        assert "Retry-After" in answer.headers
    assert not root.exists()
    away.rename(root)
    assert held(service, capture) == digests(service, capture)
    assert service.client.delete(f"/v1/captures/{capture}").status_code == 200
    assert held(service, capture) == set()

"""Keys from their making to their end."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from job_rows import add_job
from keyholders import ROOT_KEY, bearing, holder, make_key, new_holder, used
from running import Service, serving
from sqlalchemy import text

from app.access.keyring import REMEMBERED_S
from app.access.keys import HINT_LENGTH
from app.adaptations import events
from app.tables import ApiKeyRow, utc_now
from models.worlds import World


def test_a_key_is_shown_once_and_stored_as_a_hash(service: Service) -> None:
    made = make_key(service, "read", name="render farm", frames_per_day=5)
    key = made["key"]
    assert key.startswith("rf_")
    assert len(key) >= 3 + 43  # 256 bits
    assert (made["state"], made["hint"], made["created_by"]) == ("active", key[:HINT_LENGTH], "env")
    with service.app.state.db.engine.connect() as connection:
        rows = str(connection.execute(text("SELECT * FROM api_keys")).all())
        assert made["id"] in rows
        assert key not in rows
    listed = service.client.get("/v1/keys").text
    detail = service.client.get(f"/v1/keys/{made['id']}").text
    for shown in (listed, detail):
        assert made["id"] in shown
        assert key[3:] not in shown
        assert "sha256" not in shown
    with holder(service, key) as client:
        assert client.get("/v1/rigs").status_code == 200


def test_two_keys_are_never_alike(service: Service) -> None:
    assert len({make_key(service)["key"] for _ in range(20)}) == 20


def test_a_revoked_key_opens_nothing_at_once(service: Service) -> None:
    made = make_key(service)
    with holder(service, made["key"]) as client:
        assert client.get("/v1/rigs").status_code == 200
        assert service.client.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert client.get("/v1/rigs").status_code == 401
    assert service.client.get(f"/v1/keys/{made['id']}").json()["state"] == "revoked"
    assert service.client.delete(f"/v1/keys/{made['id']}").status_code == 204


def test_a_key_revoked_by_another_process_is_noticed_within_seconds(service: Service) -> None:
    with serving(service.settings, Authorization=f"Bearer {ROOT_KEY}") as another:
        made = make_key(service)
        with holder(another, made["key"]) as client:
            assert client.get("/v1/rigs").status_code == 200
            service.client.delete(f"/v1/keys/{made['id']}")
            time.sleep(REMEMBERED_S + 0.1)
            assert client.get("/v1/rigs").status_code == 401


def test_a_stream_ends_when_its_key_does(service: Service, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "ASK_AGAIN_S", 0.3)
    rig = service.register(world)
    job = add_job(service.app.state.db, rig, state="running")
    made = make_key(service)
    with holder(service, made["key"]) as client, client.stream("GET", f"/v1/adaptations/{job}/events") as stream:
        assert stream.status_code == 200
        service.client.delete(f"/v1/keys/{made['id']}")
        began = time.monotonic()
        assert list(stream.iter_lines()) == []
    assert time.monotonic() - began < 2


def test_a_key_expires_also_while_it_is_remembered(service: Service) -> None:
    made = make_key(service, expires_at=(utc_now() + timedelta(seconds=0.7)).isoformat())
    with holder(service, made["key"]) as client:
        assert client.get("/v1/rigs").status_code == 200
        time.sleep(0.75)
        assert client.get("/v1/rigs").status_code == 401
    assert service.client.get(f"/v1/keys/{made['id']}").json()["state"] == "expired"


@pytest.mark.parametrize(
    ("wanted", "at"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes[0]"),
        ({"studio": "../x"}, "studio"),
        ({"studio": "s" * 65}, "studio"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2090-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"frames_per_day": 2**31}, "frames_per_day"),
        ({"stored_bytes": 2**60}, "stored_bytes"),
        ({"sha256": "0" * 64}, "sha256"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(service: Service, wanted: dict[str, Any], at: str) -> None:
    answer = service.client.post("/v1/keys", json={"name": "x", "scopes": ["read"], **wanted})
    assert (answer.status_code, answer.json()["at"]) == (422, at), answer.text


def test_no_key_outlives_or_outdoes_its_maker(service: Service) -> None:
    ends = utc_now().replace(microsecond=0) + timedelta(minutes=2)
    bounds = {"requests_per_minute": 50, "frames_per_day": 2, "stored_bytes": 3}
    with new_holder(service, ["admin"], studio="north", expires_at=ends.isoformat(), **bounds) as maker:
        child = maker.post("/v1/keys", json={"name": "child", "scopes": ["admin"]}).json()
        assert {name: child[name] for name in bounds} == bounds
        assert datetime.fromisoformat(child["expires_at"]) == ends
        less = maker.post("/v1/keys", json={"name": "less", "frames_per_day": 1, "stored_bytes": None}).json()
        assert (less["frames_per_day"], less["stored_bytes"]) == (1, 3)
        later = (ends + timedelta(seconds=1)).isoformat()
        for more in ({"expires_at": later}, *({name: value + 1} for name, value in bounds.items())):
            refused = maker.post("/v1/keys", json={"name": "more", **more})
            assert (refused.status_code, refused.json()["at"]) == (403, next(iter(more))), refused.text


@pytest.mark.parametrize("key_id", ["key_none", "%00", "key_é"])
def test_a_key_that_is_not_there(service: Service, key_id: str) -> None:
    for method in ("GET", "DELETE"):
        answer = service.client.request(method, f"/v1/keys/{key_id}")
        assert answer.status_code == 404, answer.text


SCOPES = {
    "read": [("GET", "/v1/rigs"), ("GET", "/v1/adaptations"), ("GET", "/metrics"), ("OPTIONS", "/v1/uploads")],
    "write": [("POST", "/v1/rigs"), ("POST", "/v1/rigs/rig_0/poses"), ("DELETE", "/v1/rigs/rig_0")],
    "admin": [("GET", "/v1/keys"), ("POST", "/v1/keys"), ("GET", "/v1/audit"), ("DELETE", "/v1/keys/key_0")],
}


@pytest.mark.parametrize("held", SCOPES)
def test_a_scope_opens_its_own_doors_and_no_others(service: Service, held: str) -> None:
    with new_holder(service, [held]) as client:
        for needed, doors in SCOPES.items():
            for method, path in doors:
                answer = client.request(method, path)
                if needed == held:
                    assert answer.status_code not in {401, 403}, (method, path, answer.text)
                else:
                    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (method, path)
                    assert repr(needed) in answer.json()["detail"]


def test_what_needs_admin_is_what_cannot_be_undone_or_gives_rights(service: Service) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    scopes = {
        (method.upper(), path): operation.get("x-rigfuse-scope", "read" if method in {"get", "head"} else "write")
        for path, found in paths.items()
        for method, operation in found.items()
    }
    assert {door for door, scope in scopes.items() if scope == "admin"} == {
        ("DELETE", "/v1/captures/{capture_id}"), ("DELETE", "/v1/checkpoints/{checkpoint_id}"),
        ("POST", "/v1/bundles"), ("POST", "/v1/keys"), ("GET", "/v1/keys"), ("GET", "/v1/keys/{key_id}"),
        ("DELETE", "/v1/keys/{key_id}"), ("GET", "/v1/audit"), ("DELETE", "/v1/rigs/{rig_id}/request-frames"),
    }  # fmt: skip
    assert {door for door, scope in scopes.items() if scope == "read" and door[0] not in {"GET", "HEAD"}} == {
        ("OPTIONS", "/v1/uploads"),
        ("POST", "/v1/calibrations/inspect"),
    }


def test_the_dashboard_needs_to_look_only(service: Service) -> None:
    looking, working = make_key(service, "read")["key"], make_key(service, "write")["key"]
    for key, status in ((looking, 200), (working, 403), ("rf_wrong", 401)):
        assert service.client.get("/", headers=bearing(key)).status_code == status


def test_a_studios_administrator_administrates_that_studio_alone(service: Service) -> None:
    theirs = make_key(service, "read", studio="theirs")
    with new_holder(service, ["read", "write", "admin"], studio="ours") as client:
        made = client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}).json()
        assert made["studio"] == "ours"
        asked = client.post("/v1/keys", json={"name": "x", "scopes": ["read"], "studio": "theirs"})
        assert (asked.status_code, asked.json()["at"]) == (403, "studio")
        assert {key["studio"] for key in client.get("/v1/keys").json()["items"]} == {"ours"}
        assert client.get(f"/v1/keys/{theirs['id']}").status_code == 404
        assert client.delete(f"/v1/keys/{theirs['id']}").status_code == 404
        assert client.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert {entry["studio"] for entry in client.get("/v1/audit").json()["items"]} == {"ours"}
        assert client.get("/metrics").status_code == 403
        assert client.get("/v1/workers").status_code == 403
    with holder(service, theirs["key"]) as client:
        assert client.get("/v1/rigs").status_code == 200


def test_making_and_revoking_is_in_the_trail_page_by_page(service: Service) -> None:
    made = make_key(service, "read", name="night shift", studio="north")
    service.client.delete(f"/v1/keys/{made['id']}")
    newest = service.client.get("/v1/audit", params={"subject": made["id"], "limit": 1}).json()
    (revoked,) = newest["items"]
    assert (revoked["action"], revoked["actor"], revoked["studio"]) == ("key.revoked", "env", "north")
    assert revoked["request_id"]
    rest = service.client.get("/v1/audit", params={"subject": made["id"], "cursor": newest["next_cursor"]}).json()
    assert [entry["action"] for entry in rest["items"]] == ["key.created"]
    assert rest["next_cursor"] is None
    assert made["key"] not in str(rest)
    only = service.client.get("/v1/audit", params={"action": "key.revoked"}).json()["items"]
    assert {entry["action"] for entry in only} == {"key.revoked"}
    assert service.client.get("/v1/audit", params={"cursor": "bm90IG91cnM"}).status_code == 422


def test_the_last_use_is_told(service: Service) -> None:
    made = make_key(service)
    assert made["last_used_at"] is None
    with holder(service, made["key"]) as client:
        client.get("/v1/rigs")
        client.get("/v1/rigs")
    shown = used(service, made["id"], requests=2)
    assert datetime.now(UTC) - datetime.fromisoformat(shown["last_used_at"]) < timedelta(seconds=30)
    with service.app.state.db.read_session() as session:
        written = session.get_one(ApiKeyRow, made["id"]).last_used_at
    with holder(service, made["key"]) as client:
        client.get("/v1/rigs")
    used(service, made["id"], requests=3)
    with service.app.state.db.read_session() as session:
        assert session.get_one(ApiKeyRow, made["id"]).last_used_at == written  # at most once a minute

"""Another studio's ids: everything that the description lists answers as though nothing were there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import payloads
import pytest
from keyholders import holder, make_key
from running import Service
from sqlalchemy import select, update
from stored import checkpoint_of, store
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.access.tenancy import OWNED
from app.tables import AdaptationRow, Base, CaptureRow, CheckpointRow
from models.worlds import World

ALL = ("read", "write", "admin")
COUNTED = {"audit", "key_usage", "rig_serving", "totals"}
TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


@dataclass(frozen=True)
class Studio:
    """A studio's key and one of everything that is its own, by the name of the path's parameter."""

    service: Service
    client: httpx.Client
    ids: Mapping[str, str]

    def holdings(self) -> tuple[list[tuple[Any, ...]], Any]:
        """All rows but what the service counts by and by, and all files."""
        tables = [table for table in Base.metadata.sorted_tables if table.name not in COUNTED]
        kept = [[column for column in table.columns if column.name != "last_used_at"] for table in tables]
        with self.service.app.state.db.read_session() as session:
            rows = [tuple(map(str, row)) for columns in kept for row in session.execute(select(*columns))]
        return rows, self.service.holdings()[1]


@pytest.fixture(scope="module")
def theirs(service: Service, world: World) -> Iterator[Studio]:
    made = make_key(service, *ALL, studio="theirs")
    with holder(service, made["key"]) as client:
        rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
        checkpoint = store(service, rig, checkpoint_of(world.rig), activate=True)
        with service.app.state.db.session() as session:
            for table in (CaptureRow, AdaptationRow, CheckpointRow):
                session.execute(update(table).where(table.rig_id == rig).values(studio="theirs"))
            row = session.get_one(CheckpointRow, checkpoint)
            capture, adaptation = row.capture_id, row.adaptation_id
        upload = client.post("/v1/uploads", headers={**TUS, "Upload-Length": "10"}).json()["id"]
        ids = {
            "rig_id": rig, "capture_id": str(capture), "adaptation_id": str(adaptation), "checkpoint_id": checkpoint,
            "key_id": made["id"], "upload_id": upload,
        }  # fmt: skip
        sent = payloads.files(heatmaps=payloads.heatmaps(world))
        assert client.post(f"/v1/rigs/{rig}/poses", files=sent).status_code == 200  # all caches are warm
        yield Studio(service, client, ids)


@pytest.fixture
def ours(service: Service) -> Iterator[httpx.Client]:
    with holder(service, make_key(service, *ALL, studio="ours")["key"]) as client:
        yield client


def bodies(studio: Studio, world: World) -> dict[tuple[str, str], dict[str, Any]]:
    """What makes requests right in everything but whose the ids are."""
    heatmaps = payloads.files(heatmaps=payloads.heatmaps(world))
    return {
        ("PATCH", "/v1/rigs/{rig_id}"): {"json": {"name": "taken"}},
        ("POST", "/v1/rigs/{rig_id}/captures"): {"files": payloads.capture(world)},
        ("POST", "/v1/rigs/{rig_id}/adaptations"): {"json": {"capture": studio.ids["capture_id"]}},
        ("POST", "/v1/rigs/{rig_id}/poses"): {"files": heatmaps},
        ("HEAD", "/v1/uploads/{upload_id}"): {"headers": TUS},
        ("PATCH", "/v1/uploads/{upload_id}"): {"headers": PATCH, "content": b"0123456789"},
        ("DELETE", "/v1/uploads/{upload_id}"): {"headers": TUS},
    }


def operations(service: Service) -> list[tuple[str, str]]:
    paths = service.client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, found in paths.items() for method in found if path.startswith("/v1")]


def test_no_id_of_another_studio_is_there_and_nothing_changes(theirs: Studio, ours: httpx.Client, world: World) -> None:
    before, walked, sent = theirs.holdings(), 0, bodies(theirs, world)
    for method, path in operations(theirs.service):
        if "{" in path:
            answer = ours.request(method, path.format(**theirs.ids), **sent.get((method, path), {}))
            assert answer.status_code == 404, (method, path, answer.text)
            walked += 1
    assert walked >= 25
    assert theirs.holdings() == before, "something changed"


def test_no_list_tells_of_another_studio(theirs: Studio, ours: httpx.Client) -> None:
    lists = [path for method, path in operations(theirs.service) if method == "GET" and "{" not in path]
    assert len(lists) >= 6
    for path in lists:
        asked = {"rig": theirs.ids["rig_id"], "subject": theirs.ids["rig_id"], "limit": "200"}
        for params in ({}, asked):
            text = ours.get(path, params=params).text
            assert not [identifier for identifier in theirs.ids.values() if identifier in text], path
    assert ours.get("/metrics").status_code == 403


def test_another_studios_ids_inside_a_request_are_not_there_either(
    theirs: Studio, ours: httpx.Client, world: World
) -> None:
    rig = ours.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
    before, ids = theirs.holdings(), theirs.ids
    heatmaps = payloads.files(heatmaps=payloads.heatmaps(world))
    labels = payloads.files(payloads.labels_document(world))
    for answer in (
        ours.post(f"/v1/rigs/{rig}/adaptations", json={"capture": ids["capture_id"]}),
        ours.post(f"/v1/rigs/{rig}/poses", files=heatmaps, params={"checkpoint": ids["checkpoint_id"]}),
        ours.post(f"/v1/rigs/{rig}/captures", files=labels, params={"heatmaps_upload": ids["upload_id"]}),
        ours.post("/v1/bundles", files={"bundle": ("b", b"x")}, params={"rig": ids["rig_id"]}),
    ):
        assert answer.status_code in {404, 422}, answer.text
    assert theirs.holdings() == before


def test_an_idempotency_key_is_a_studios_own(theirs: Studio, service: Service, world: World) -> None:
    answers = []
    for studio in ("east", "west"):
        with holder(service, make_key(service, studio=studio)["key"]) as client:
            rig = client.post("/v1/rigs", json=payloads.rig_document(world.rig)).json()["id"]
            capture = client.post(f"/v1/rigs/{rig}/captures", files=payloads.capture(world)).json()["id"]
            asked = {"json": {"capture": capture}, "headers": {"Idempotency-Key": "take 1"}}
            made = [client.post(f"/v1/rigs/{rig}/adaptations", **asked).json()["id"] for _ in range(2)]
            assert made[0] == made[1]
            answers.append(made[0])
    assert answers[0] != answers[1]


def test_live_frames_of_another_studio_are_refused_before_they_begin(theirs: Studio, ours: httpx.Client) -> None:
    url = str(ours.base_url).replace("http", "ws") + f"/v1/rigs/{theirs.ids['rig_id']}/live"
    key = {"Authorization": ours.headers["authorization"]}
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers=key)
    assert refused.value.response.status_code == 404


def test_a_key_of_no_studio_sees_all_and_what_it_makes_keeps_its_owner(
    theirs: Studio, service: Service, world: World
) -> None:
    rig = theirs.ids["rig_id"]
    assert service.client.get(f"/v1/rigs/{rig}").json()["studio"] == "theirs"
    capture = service.client.post(f"/v1/rigs/{rig}/captures", files=payloads.capture(world)).json()["id"]
    assert theirs.client.get(f"/v1/captures/{capture}").status_code == 200
    job = service.client.post(f"/v1/rigs/{rig}/adaptations", json={"capture": capture}).json()["id"]
    assert theirs.client.post(f"/v1/adaptations/{job}/cancel").status_code == 202
    named = service.client.post("/v1/rigs", json={**payloads.rig_document(world.rig), "studio": "theirs"}).json()["id"]
    assert theirs.client.get(f"/v1/rigs/{named}").status_code == 200
    foreign = theirs.client.post("/v1/rigs", json={**payloads.rig_document(world.rig), "studio": "ours"})
    assert (foreign.status_code, foreign.json()["at"]) == (403, "studio")
    told = theirs.client.get("/v1/audit", params={"subject": job}).json()["items"]
    assert [entry["action"] for entry in told] == ["adaptation.cancelled", "adaptation.requested"]
    assert {entry["studio"] for entry in told} == {"theirs"}


def test_every_table_with_a_studio_is_walked() -> None:
    assert {table.__tablename__ for table in OWNED} == {
        table.name for table in Base.metadata.sorted_tables if "studio" in table.columns
    }

"""Rigs over HTTP."""

import base64
import json
from typing import Any

import httpx
import numpy as np
import payloads
import pytest
from running import Service

from app.tables import AdaptationRow, CaptureRow, RigRow, new_id
from models.rig import Rig
from models.worlds import World


def post(service: Service, document: Any) -> httpx.Response:
    """Post raw JSON as Python writes it, NaN included."""
    return service.client.post("/v1/rigs", content=json.dumps(document), headers={"content-type": "application/json"})


def test_a_registered_rig_is_answered_with_its_views(service: Service, world: World) -> None:
    document = payloads.rig_document(world.rig, "Bühne A") | {"notes": "line\nline", "tags": ["north", "north", "x"]}
    created = post(service, document)
    assert created.status_code == 201
    body = created.json()
    assert created.headers["location"] == f"/v1/rigs/{body['id']}"
    assert body["status"] == "registered"
    assert body["active_checkpoint"] is None
    assert body["revision"] == 1
    assert body["digest"] == world.rig.digest
    assert body["tags"] == ["north", "x"]
    read = service.client.get(f"/v1/rigs/{body['id']}").json()
    assert read == body
    assert Rig.from_dict(read).digest == world.rig.digest
    for camera, view in zip(read["cameras"], world.rig.views, strict=True):
        np.testing.assert_allclose(camera["view"]["K"], view.K)


def test_an_answer_can_be_sent_again(service: Service, world: World) -> None:
    first = post(service, payloads.rig_document(world.rig)).json()
    again = post(service, first)
    assert again.status_code == 201
    assert again.json()["digest"] == first["digest"]
    assert again.json()["id"] != first["id"]


def test_name_notes_and_tags_change_and_the_calibration_does_not(service: Service, world: World) -> None:
    rig = service.register(world)
    changed = service.client.patch(f"/v1/rigs/{rig}", json={"name": "new", "tags": ["a"]})
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["tags"], changed.json()["notes"]) == ("new", ["a"], "")
    refused = service.client.patch(f"/v1/rigs/{rig}", json={"units": "mm"})
    assert refused.status_code == 422
    assert refused.json()["at"] == "units"


def test_an_archived_rig_stays_readable_and_takes_nothing(service: Service, world: World) -> None:
    rig = service.register(world)
    assert service.client.delete(f"/v1/rigs/{rig}").status_code == 204
    assert service.client.delete(f"/v1/rigs/{rig}").status_code == 204
    assert service.client.get(f"/v1/rigs/{rig}").json()["status"] == "archived"
    listed = {item["id"] for item in service.client.get("/v1/rigs", params={"limit": 200}).json()["items"]}
    assert rig not in listed
    archived = service.client.get("/v1/rigs", params={"limit": 200, "archived": True}).json()["items"]
    assert rig in {item["id"] for item in archived}
    for answer in (
        service.client.patch(f"/v1/rigs/{rig}", json={"name": "x"}),
        service.client.post(f"/v1/rigs/{rig}/poses", files=payloads.files(heatmaps=b"x")),
        service.client.post(f"/v1/rigs/{rig}/captures", files=payloads.files(heatmaps=b"x")),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "rig_archived")


def test_a_rig_is_adapting_while_a_job_of_it_waits(service: Service, world: World) -> None:
    rig = service.register(world)
    with service.app.state.db.session() as session:
        capture = CaptureRow(
            id=new_id("cap"), rig_id=rig, kind="heatmaps", digest="0" * 64, frames=1, labelled_joints=1,
            coverage={}, warnings=[], labels_sha256="0" * 64, source_sha256="0" * 64,
        )  # fmt: skip
        session.add(capture)
        session.flush()
        job = AdaptationRow(id=new_id("ada"), rig_id=rig, capture_id=capture.id, method="metafuse", seed=0)
        session.add(job)
    assert service.client.get(f"/v1/rigs/{rig}").json()["status"] == "adapting"
    with service.app.state.db.session() as session:
        session.get_one(AdaptationRow, job.id).state = "failed"
    assert service.client.get(f"/v1/rigs/{rig}").json()["status"] == "registered"


def test_paging_gives_every_rig_once_even_while_some_are_added(service: Service, world: World) -> None:
    made = [service.register(world) for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        page = service.client.get("/v1/rigs", params={"limit": 2, "cursor": cursor} if cursor else {"limit": 2})
        seen += [item["id"] for item in page.json()["items"]]
        service.register(world)  # comes before the cursor, so it may not shift what follows
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert [rig for rig in seen if rig in made] == made[::-1]


def _cursor(content: str) -> str:
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


BEFORE_THE_FIRST_YEAR = _cursor('["0001-01-01T00:00:00+23:59","a"]')
AFTER_THE_LAST_YEAR = _cursor('["9999-12-31T23:59:59-23:59","a"]')
NOT_PRINTABLE = _cursor('["2026-01-01T00:00:00+00:00","\\u0000"]')


@pytest.mark.parametrize(
    "cursor",
    ["x", "bnVsbA", "WzEsMl0", "WyIyMDI2LTAxLTAxIiwgIngiXQ", "%00",
     BEFORE_THE_FIRST_YEAR, AFTER_THE_LAST_YEAR, NOT_PRINTABLE],
)  # fmt: skip
def test_a_foreign_cursor_is_refused(service: Service, cursor: str) -> None:
    answer = service.client.get("/v1/rigs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


def _camera(**changed: Any) -> Any:
    def change(document: dict[str, Any]) -> None:
        document["cameras"][1] |= changed

    return change


def _top(**changed: Any) -> Any:
    return lambda document: document.update(changed)


def _only_one_camera(document: dict[str, Any]) -> None:
    document["cameras"] = document["cameras"][:1]


def _nan_in_k(document: dict[str, Any]) -> None:
    document["cameras"][1]["K"][0][2] = float("nan")


def _metres_called_millimetres(document: dict[str, Any]) -> None:
    for camera in document["cameras"]:
        camera["t"] = [1000 * value for value in camera["t"]]


MIRROR = [[1, 0, 0], [0, 1, 0], [0, 0, -1]]


@pytest.mark.parametrize(
    ("spoil", "code", "at"),
    [
        (_nan_in_k, "invalid_rig", "cameras[1].K[0][2]"),
        (_only_one_camera, "too_few_cameras", "cameras"),
        (_camera(K=[[float("inf"), 0, 0], [0, 1, 0], [0, 0, 1]]), "invalid_rig", "cameras[1].K[0][0]"),
        (_camera(K=[[-1, 0, 0], [0, 1, 0], [0, 0, 1]]), "invalid_rig", "cameras[1].K"),
        (_camera(K=[[1, 0], [0, 1]]), "invalid_rig", "cameras[1].K[0]"),
        (_camera(R=MIRROR), "invalid_rig", "cameras[1].R"),
        (_camera(R=[[2, 0, 0], [0, 2, 0], [0, 0, 2]]), "invalid_rig", "cameras[1].R"),
        (_camera(id="cam01"), "invalid_rig", "cameras[1].id"),
        (_camera(id="../x"), "invalid_rig", "cameras[1].id"),
        (_camera(t=[1e300, 0, 0]), "invalid_rig", "cameras[1].t[0]"),
        (_camera(width=0), "invalid_rig", "cameras[1].width"),
        (_camera(dist=[0, 0, 0, 0, 0, 0, 0]), "invalid_rig", "cameras[1].dist"),
        (_camera(distortion=[0, 0, 0, 0, 0]), "invalid_rig", "cameras[1].distortion"),
        (_camera(model="pinhole"), "invalid_rig", "cameras[1].model"),
        (_metres_called_millimetres, "invalid_rig", "units"),
        (_top(units="inch"), "invalid_rig", "units"),
        (_top(joints="smpl"), "unknown_joints", "joints"),
        (_top(name="a\u0000b"), "invalid_rig", "name"),
        (_top(name="a\ud800b"), "invalid_rig", "name"),
        (_top(name=""), "invalid_rig", "name"),
        (_top(name="x" * 201), "invalid_rig", "name"),
        (_top(tags=["\x1b[31m"]), "invalid_rig", "tags[0]"),
        (_top(volume={"min": [1, 1, 1], "max": [0, 2, 2]}), "invalid_rig", "volume"),
        (_top(up=[0, 0, 0]), "invalid_rig", "up"),
        (_top(cameras=[]), "too_few_cameras", "cameras"),
        (_top(cameras=None), "invalid_rig", "cameras"),
    ],
)  # fmt: skip
def test_a_calibration_that_cannot_be_right_is_refused_with_the_place(
    service: Service, spoil: Any, code: str, at: str
) -> None:
    document = payloads.rig_document(payloads.world().rig)
    spoil(document)
    before = service.holdings()
    answer = post(service, document)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["at"]) == (422, code, at)
    assert problem["status"] == 422
    assert problem["detail"].strip().endswith((".", "?", ")"))
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.holdings() == before


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1, 2]", b"null", b"[" * 100_000, b'"\xff"', b'{"name": ' + b"9" * 5000 + b"}"]
)
def test_a_body_that_is_no_rig_is_a_problem_too(service: Service, body: bytes) -> None:
    answer = service.client.post("/v1/rigs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["rig_0", "%00", "x" * 300, "..%2f..", "😀"])
def test_an_unknown_rig_is_not_found(service: Service, path: str) -> None:
    answer = service.client.get(f"/v1/rigs/{path}")
    assert answer.status_code in {404, 422}
    assert answer.json()["status"] == answer.status_code


def test_the_row_holds_the_calibration_as_sent(service: Service, world: World) -> None:
    rig = service.register(world)
    with service.app.state.db.read_session() as session:
        row = session.get_one(RigRow, rig)
    assert Rig.from_dict(row.document).digest == row.digest == world.rig.digest
    assert row.created_at.tzinfo is not None

"""Captures over HTTP: what is sealed, and streams that are no form."""

import os
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import payloads
import pytest
from running import Service

from app.captures.contents import Labels
from app.tables import CaptureRow
from models.worlds import World


def test_a_capture_of_heatmaps_is_sealed(service: Service, world: World) -> None:
    rig = service.register(world)
    answer = service.upload(rig, payloads.capture(world))
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"/v1/captures/{body['id']}"
    assert (body["rig"], body["kind"], body["frames"]) == (rig, "heatmaps", payloads.FRAMES)
    assert body["labelled_joints"] == int((world.labelled().visibility > 0).sum())
    assert set(body["coverage"]["cameras"]) == {camera.id for camera in world.rig.cameras}
    assert any("recommended" in warning for warning in body["warnings"])
    assert service.client.get(f"/v1/captures/{body['id']}").json() == body
    listed = service.client.get(f"/v1/rigs/{rig}/captures").json()
    assert [item["id"] for item in listed["items"]] == [body["id"]]


def test_what_is_sealed_can_be_read_back(service: Service, world: World) -> None:
    sent = payloads.capture(world)
    capture = service.upload(service.register(world), sent).json()["id"]
    with service.app.state.db.read_session() as session:
        row = session.get_one(CaptureRow, capture)
    artifacts = service.app.state.artifacts
    assert artifacts.read(row.source_sha256) == sent["heatmaps"][1]
    labels = Labels.from_bytes(artifacts.read(row.labels_sha256))
    expected = world.labelled()
    assert labels.frames == expected.frames
    np.testing.assert_array_equal(labels.visibility, expected.visibility)


def test_the_same_content_has_the_same_digest_and_is_kept_once(service: Service, world: World) -> None:
    rig = service.register(world)
    first = service.upload(rig, payloads.capture(world)).json()
    before = service.holdings()
    second = service.upload(rig, payloads.capture(world)).json()
    assert second["digest"] == first["digest"]
    assert second["id"] != first["id"]
    assert service.holdings()[1] == before[1]


def test_others_may_write_while_a_capture_is_copied(
    service: Service, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, artifacts = service.register(world), service.app.state.artifacts
    put_file, answers = artifacts.put_file, []

    def archive_meanwhile(path: Path) -> str:
        with httpx.Client(base_url=service.client.base_url, timeout=5) as other:
            answers.append(other.delete(f"/v1/rigs/{rig}").status_code)
        return str(put_file(path))

    monkeypatch.setattr(artifacts, "put_file", archive_meanwhile)
    before = service.holdings()[0]
    answer = service.upload(rig, payloads.capture(world))
    assert answers == [204]  # the upload does not hold SQLite's one write lock
    assert (answer.status_code, answer.json()["code"]) == (409, "rig_archived")
    archived_in_the_trail = {"audit": before["audit"] + 1}
    assert service.holdings()[0] == before | archived_in_the_trail
    assert list(service.settings.uploads_dir.iterdir()) == []


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_a_capture_of_images_is_sealed(service: Service, world: World, extension: str) -> None:
    rig = payloads.with_small_images(world.rig)
    identifier = service.client.post("/v1/rigs", json=payloads.rig_document(rig)).json()["id"]
    labels = payloads.small_labels(rig)
    entries = payloads.frame_entries(rig, [entry["frame"] for entry in labels["frames"]], extension)
    entries |= {"__MACOSX/._x": b"x", "000000/.DS_Store": b"x"}
    answer = service.upload(identifier, payloads.files(labels, frames=payloads.zipped(entries)))
    assert answer.status_code == 201, answer.text
    assert (answer.json()["kind"], answer.json()["frames"]) == ("images", payloads.FRAMES)


def test_frames_without_labels_are_told_of(service: Service, world: World) -> None:
    labels = payloads.labels_document(world)
    labels["frames"].pop()
    answer = service.upload(service.register(world), payloads.files(labels, heatmaps=payloads.heatmaps(world)))
    assert answer.status_code == 201
    assert answer.json()["frames"] == payloads.FRAMES - 1
    assert "000009" in answer.json()["warnings"][0]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_media_type"),
        ("multipart/form-data", b"", 422, "invalid_multipart"),
        ("multipart/form-data; boundary=x", b"", 422, "invalid_multipart"),
        ("multipart/form-data; boundary=x", b"nonsense", 422, "invalid_multipart"),
        ("multipart/form-data; boundary=x", b'--x\r\ncontent-disposition: form-data; name="labels"\r\n\r\n{', 422,
         "invalid_multipart"),
        ("multipart/form-data; boundary=x", b"--x\r\na: b\r\n\r\nc\r\n--x--\r\n", 422, "unexpected_part"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"a: b\r\n" * 500, 422, "invalid_multipart"),
    ],
)  # fmt: skip
def test_a_stream_that_is_no_form_is_refused(
    *, service: Service, world: World, content_type: str, body: bytes, status: int, code: str
) -> None:
    rig = service.register(world)
    before = service.holdings()
    answer = service.client.post(f"/v1/rigs/{rig}/captures", content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert service.holdings() == before


def test_a_part_that_came_twice_is_refused(service: Service, world: World) -> None:
    twice = [("labels", ("l.json", b"{}")), ("labels", ("l.json", b"{}"))]
    answer = service.client.post(f"/v1/rigs/{service.register(world)}/captures", files=twice)
    assert (answer.status_code, answer.json()["code"]) == (422, "duplicate_part")


def test_a_client_that_goes_away_leaves_nothing(service: Service, world: World) -> None:
    rig = service.register(world)
    before = service.holdings()

    def broken() -> Any:
        yield b'--x\r\ncontent-disposition: form-data; name="labels"\r\n\r\n'
        yield os.urandom(3 << 20)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        service.client.post(
            f"/v1/rigs/{rig}/captures",
            content=broken(),
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
    assert service.client.get("/healthz").status_code == 200
    deadline = time.monotonic() + 5  # the server learns of it a little later
    while service.holdings() != before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert service.holdings() == before


def test_a_capture_that_is_not_there(service: Service, world: World) -> None:
    assert service.client.get("/v1/captures/cap_0").json()["code"] == "capture_not_found"
    answer = service.client.post("/v1/rigs/rig_0/captures", files=payloads.capture(world))
    assert (answer.status_code, answer.json()["code"]) == (404, "rig_not_found")


def test_labels_survive_the_round_trip() -> None:
    labels = Labels(("a", "ü"), np.full((2, 1, 3, 2), np.nan), np.zeros((2, 1, 3), np.uint8))
    again = Labels.from_bytes(labels.to_bytes())
    assert again.frames == labels.frames
    np.testing.assert_array_equal(again.joints_image, labels.joints_image)
    assert labels.to_bytes() == again.to_bytes()

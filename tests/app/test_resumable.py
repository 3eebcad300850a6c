"""Resumable uploads over real HTTP: the tus protocol, who may see them, what bounds them, and what they become."""

import base64
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import httpx
import payloads
import pytest
from pydantic import SecretStr
from running import Service, serving

from app.resumable.protocol import CONTENT_TYPE
from app.settings import Settings
from models.worlds import World

KEY = "a-key-for-the-uploads"
TUS = {"Tus-Resumable": "1.0.0"}
LIMITS = {"max_upload_bytes": 20_000_000, "uploads_per_key": 8, "uploads_total_bytes": 40_000_000}


@pytest.fixture(scope="module")
def tus(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with serving(make_settings(**LIMITS, api_keys=(SecretStr(KEY),)), Authorization=f"Bearer {KEY}") as running:
        yield running


@pytest.fixture(autouse=True)
def _leave_nothing(tus: Service) -> Iterator[None]:
    yield
    for upload in tus.client.get("/v1/uploads").json()["items"]:
        assert tus.client.delete(f"/v1/uploads/{upload['id']}", headers=TUS).status_code == 204
    folder = tus.settings.uploads_dir / "resumable"
    assert list(folder.glob("*")) == []


def begin(service: Service, length: int, sha256: str | None = None, **headers: str) -> httpx.Response:
    if sha256 is not None:
        headers["Upload-Metadata"] = f"sha256 {base64.b64encode(sha256.encode()).decode()}"
    return service.client.post("/v1/uploads", headers=TUS | {"Upload-Length": str(length)} | headers)


def send(service: Service, path: str, data: bytes, offset: int = 0, **headers: str) -> httpx.Response:
    sent = TUS | {"Content-Type": CONTENT_TYPE, "Upload-Offset": str(offset)} | headers
    return service.client.patch(path, content=data, headers=sent)


def offset(service: Service, path: str) -> int:
    answer = service.client.head(path, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["Tus-Resumable"] == "1.0.0"


def test_the_service_says_what_it_speaks(tus: Service) -> None:
    answer = tus.client.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,expiration,termination"
    assert answer.headers["Tus-Max-Size"] == "20000000"


def test_bytes_come_in_pieces_and_are_checked_at_the_end(tus: Service) -> None:
    data = os.urandom(3_000_000)
    begun = begin(tus, len(data), hashlib.sha256(data).hexdigest())
    assert begun.status_code == 201
    path = begun.headers["Location"]
    assert begun.headers["Upload-Expires"].endswith("GMT")
    assert offset(tus, path) == 0
    first = send(tus, path, data[:1_900_000])
    assert (first.status_code, first.headers["Upload-Offset"], first.headers["Cache-Control"]) == (
        204, "1900000", "no-store",
    )  # fmt: skip
    refused(send(tus, path, b"x", offset=5), 409, "offset_mismatch")
    assert send(tus, path, data[1_900_000:], 1_900_000).headers["Upload-Offset"] == "3000000"
    told = tus.client.get(path).json()
    assert (told["offset"], told["length"], told["complete"]) == (3_000_000, 3_000_000, True)
    assert [item["id"] for item in tus.client.get("/v1/uploads").json()["items"]] == [told["id"]]
    stored = tus.settings.uploads_dir / "resumable" / f"{told['id']}.data"
    assert stored.read_bytes() == data


def test_other_bytes_than_declared_are_not_kept(tus: Service) -> None:
    path = begin(tus, 4, hashlib.sha256(b"abcd").hexdigest()).headers["Location"]
    refused(send(tus, path, b"abce"), 422, "checksum_mismatch")
    refused(tus.client.get(path), 404, "upload_not_found")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412, "precondition_failed"),
        ({"Upload-Length": "0"}, 422, "invalid_input"),
        ({"Upload-Length": "-1"}, 422, "invalid_input"),
        ({"Upload-Length": "9" * 30}, 422, "invalid_input"),
        ({"Upload-Length": "20000001"}, 413, "upload_too_large"),
        ({"Upload-Metadata": "sha256 !!"}, 422, "invalid_input"),
        ({"Upload-Metadata": "sha256 YWJj"}, 422, "invalid_input"),
        ({"Authorization": "Bearer wrong"}, 401, "unauthorized"),
    ],
)
def test_what_cannot_begin_is_refused(tus: Service, headers: Mapping[str, str], status: int, code: str) -> None:
    refused(begin(tus, 10, **headers), status, code)


def test_a_client_that_speaks_no_version_is_told_which(tus: Service) -> None:
    answer = tus.client.post("/v1/uploads", headers={"Upload-Length": "1"})
    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")


@pytest.mark.parametrize("upload", ["upl_0", "..%2f..%2fetc", "upl_" + "0" * 24, "upl_%00", "lock"])
def test_what_is_no_upload_is_not_found(tus: Service, upload: str) -> None:
    path = f"/v1/uploads/{upload}"
    for answer in (tus.client.get(path), send(tus, path, b"x"), tus.client.delete(path, headers=TUS)):
        assert answer.status_code == 404


def test_no_more_is_taken_than_was_declared(tus: Service) -> None:
    path = begin(tus, 10).headers["Location"]
    refused(send(tus, path, b"x" * 11), 413, "upload_too_large")
    answer = tus.client.patch(  # of unknown length
        path, content=iter([b"x" * 6, b"x" * 6]), headers=TUS | {"Content-Type": CONTENT_TYPE, "Upload-Offset": "0"}
    )
    refused(answer, 413, "upload_too_large")
    assert offset(tus, path) <= 10
    refused(send(tus, path, b"x", **{"Content-Type": "text/plain"}), 415, "unsupported_media_type")


def test_only_one_at_a_time_writes_and_what_came_before_a_break_is_kept(tus: Service) -> None:
    path = begin(tus, 3_000_000).headers["Location"]
    url = tus.client.base_url
    request = (
        f"PATCH {path} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {KEY}\r\nTus-Resumable: 1.0.0\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nUpload-Offset: 0\r\nContent-Length: 3000000\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(request.encode() + b"a" * 1_500_000)
        wait_for(lambda: offset(tus, path) >= 1_000_000)
        refused(send(tus, path, b"b", offset(tus, path)), 423, "upload_busy")
        refused(tus.client.delete(path, headers=TUS), 423, "upload_busy")
    wait_for(lambda: offset(tus, path) == 1_500_000)
    wait_for(lambda: send(tus, path, b"a" * 1_500_000, 1_500_000).status_code == 204)
    assert tus.client.get(path).json()["complete"]


@pytest.mark.parametrize("metadata", ["sha256 !!!", "sha256  YQ==", "a,,b"])
def test_metadata_that_are_none_of_tus_are_refused_in_words(tus: Service, metadata: str) -> None:
    answer = begin(tus, 5, **{"Upload-Metadata": metadata})
    refused(answer, 422, "invalid_input")
    assert answer.json()["at"] == "header.upload-metadata"
    assert answer.json()["detail"].startswith("Send names with their values in base64")


def test_uploads_are_bounded_in_number_and_bytes(tus: Service) -> None:
    for _ in range(2):
        assert begin(tus, 19_000_000).status_code == 201
    refused(begin(tus, 3_000_000), 507, "no_room_for_upload")
    for _ in range(6):
        assert begin(tus, 1).status_code == 201
    answer = begin(tus, 1)
    refused(answer, 429, "too_many_uploads")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_capture_is_made_of_an_upload_once(tus: Service, world: World) -> None:
    rig, data = tus.register(world), payloads.heatmaps(world)
    path = begin(tus, len(data), hashlib.sha256(data).hexdigest()).headers["Location"]
    upload = path.rpartition("/")[2]
    captures, labels = f"/v1/rigs/{rig}/captures?heatmaps_upload={upload}", payloads.labels_document(world)
    refused_early = tus.client.post(captures, files=payloads.files(labels))
    assert (refused_early.status_code, refused_early.json()["code"]) == (409, "upload_incomplete")
    assert send(tus, path, data).status_code == 204

    wrong = tus.client.post(captures, files=payloads.files({"frames": []}))
    assert wrong.status_code == 422  # the upload stays, so that right labels can follow
    twice = tus.client.post(captures, files=payloads.files(labels, heatmaps=data))
    assert (twice.status_code, twice.json()["code"]) == (422, "unexpected_part")
    sealed = tus.client.post(captures, files=payloads.files(labels))
    assert (sealed.status_code, sealed.json()["frames"]) == (201, payloads.FRAMES), sealed.text
    plain = tus.upload(rig, payloads.capture(world)).json()
    assert plain["digest"] == sealed.json()["digest"]

    both = tus.client.post(f"{captures}&frames_upload={upload}", files=payloads.files(labels))
    assert (both.status_code, both.json()["code"]) == (422, "conflicting_parts")
    again = tus.client.post(captures, files=payloads.files(labels))
    assert (again.status_code, again.json()["code"], again.json()["at"]) == (
        404, "upload_not_found", "query.heatmaps_upload",
    )  # fmt: skip
    both = tus.client.post(captures + f"&frames_upload={upload}", files=payloads.files(labels))
    assert both.status_code in {404, 422}


def test_two_captures_of_one_upload_at_the_same_time_become_one(tus: Service, world: World) -> None:
    rig, data = tus.register(world), payloads.heatmaps(world)
    path = begin(tus, len(data)).headers["Location"]
    send(tus, path, data)
    url = f"/v1/rigs/{rig}/captures?heatmaps_upload={path.rpartition('/')[2]}"
    sent = payloads.files(payloads.labels_document(world))
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(tus.client.post(url, files=sent).status_code)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(201) == 1
    assert set(answers) <= {201, 404, 423}
    assert len(tus.client.get(f"/v1/rigs/{rig}/captures").json()["items"]) == 1


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)

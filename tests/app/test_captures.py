"""Captures over HTTP: what is sealed, and that every wrong input is refused and leaves nothing behind."""

import copy
import io
import os
import time
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import payloads
import pytest
from running import Service

from app.captures.contents import Labels
from app.tables import CaptureRow
from models.rig import Rig
from models.worlds import World

Sent = dict[str, tuple[str, bytes]]


def upload(service: Service, rig: str, sent: Sent) -> httpx.Response:
    return service.client.post(f"/v1/rigs/{rig}/captures", files=sent)


def good(world: World) -> Sent:
    return payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world))


def small_labels(rig: Rig, frames: int = payloads.FRAMES) -> dict[str, Any]:
    rows = [[20.0 + joint, 30.0, 2] for joint in range(len(rig.skeleton.joints))]
    return {
        "frames": [
            {"frame": f"{index:06d}", "cameras": {camera.id: rows for camera in rig.cameras}} for index in range(frames)
        ]
    }


def test_a_capture_of_heatmaps_is_sealed(service: Service, world: World) -> None:
    rig = service.register(world)
    answer = upload(service, rig, good(world))
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
    sent = good(world)
    capture = upload(service, service.register(world), sent).json()["id"]
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
    first = upload(service, rig, good(world)).json()
    before = service.holdings()
    second = upload(service, rig, good(world)).json()
    assert second["digest"] == first["digest"]
    assert second["id"] != first["id"]
    assert service.holdings()[1] == before[1]


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_a_capture_of_images_is_sealed(service: Service, world: World, extension: str) -> None:
    rig = payloads.with_small_images(world.rig)
    identifier = service.client.post("/v1/rigs", json=payloads.rig_document(rig)).json()["id"]
    labels = small_labels(rig)
    entries = payloads.frame_entries(rig, [entry["frame"] for entry in labels["frames"]], extension)
    entries |= {"__MACOSX/._x": b"x", "000000/.DS_Store": b"x"}
    answer = upload(service, identifier, payloads.files(labels, frames=payloads.zipped(entries)))
    assert answer.status_code == 201, answer.text
    assert (answer.json()["kind"], answer.json()["frames"]) == ("images", payloads.FRAMES)


def test_frames_without_labels_are_told_of(service: Service, world: World) -> None:
    labels = payloads.labels_document(world)
    labels["frames"].pop()
    answer = upload(service, service.register(world), payloads.files(labels, heatmaps=payloads.heatmaps(world)))
    assert answer.status_code == 201
    assert answer.json()["frames"] == payloads.FRAMES - 1
    assert "000009" in answer.json()["warnings"][0]


# --- what is refused -------------------------------------------------------------------------------------------------


def _labels(change: Callable[[dict[str, Any]], None]) -> Callable[[World], Sent]:
    def make(world: World) -> Sent:
        document = copy.deepcopy(payloads.labels_document(world))
        change(document)
        return payloads.files(document, heatmaps=payloads.heatmaps(world))

    return make


def _raw_labels(data: bytes) -> Callable[[World], Sent]:
    return lambda world: payloads.files(data, heatmaps=payloads.heatmaps(world))


def _arrays(**changed: Any) -> Callable[[World], Sent]:
    return lambda world: payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world, **changed))


def _maps(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[World], Sent]:
    def make(world: World) -> Sent:
        maps = change(world.heatmaps.astype(np.float32).copy())
        return payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world, heatmaps=maps))

    return make


def _unknown_camera(document: dict[str, Any]) -> None:
    cameras = document["frames"][2]["cameras"]
    cameras["cam99"] = cameras.pop("cam02")


def _set_nan(maps: np.ndarray) -> np.ndarray:
    maps[3, 1, 2, 5, 5] = np.nan
    return maps


def _set_huge(maps: np.ndarray) -> np.ndarray:
    maps[3, 1, 2, 5, 5] = 1e30
    return maps


def _lying_header(_world: World) -> Sent:
    """An array whose header promises far more than there is."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 3, 17, 64, 64)}
    np.lib.format.write_array_header_1_0(header, shape)
    frames, cameras = io.BytesIO(), io.BytesIO()
    np.save(frames, np.array(["000000"]))
    np.save(cameras, np.array(["cam01", "cam02", "cam03"]))
    data = payloads.zipped(
        {"heatmaps.npy": header.getvalue(), "frames.npy": frames.getvalue(), "cameras.npy": cameras.getvalue()}
    )
    return payloads.files(payloads.labels_document(_world), heatmaps=data)


def _truncated_npz(world: World) -> Sent:
    return payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world)[:-5000])


def _damaged_npz(world: World) -> Sent:
    data = bytearray(payloads.heatmaps(world))
    data[2000:2100] = bytes(100)
    return payloads.files(payloads.labels_document(world), heatmaps=bytes(data))


def _without(part: str) -> Callable[[World], Sent]:
    return lambda world: {name: sent for name, sent in good(world).items() if name != part}


def _both_kinds(world: World) -> Sent:
    return good(world) | payloads.files(frames=payloads.zipped({"a/cam01.jpg": b"x"}))


def _unexpected(world: World) -> Sent:
    return good(world) | payloads.files(videos=b"x")


OBJECTS = np.array([{"a": 1}], dtype=object)

REFUSED: list[tuple[str, Callable[[World], Sent], int, str, str | None]] = [
    ("labels of a camera that is not there", _labels(_unknown_camera), 422, "unknown_camera",
     "labels.frames[2].cameras.cam99"),
    ("three labelled frames", _labels(lambda d: d.update(frames=d["frames"][:3])), 422, "insufficient_labels",
     "labels.frames"),
    ("labels of a frame that did not come", _labels(lambda d: d["frames"][4].update(frame="999")), 422,
     "unknown_frame", "labels.frames[4].frame"),
    ("a frame labelled twice", _labels(lambda d: d["frames"][1].update(frame="000000")), 422, "invalid_labels",
     "labels.frames[1].frame"),
    ("a joint too few", _labels(lambda d: d["frames"][0]["cameras"]["cam01"].pop()), 422, "invalid_labels",
     "labels.frames[0].cameras.cam01"),
    ("NaN in labels", _labels(lambda d: d["frames"][0]["cameras"]["cam01"][0].__setitem__(0, float("nan"))), 422,
     "invalid_json", "labels"),
    ("a huge number in labels", _labels(lambda d: d["frames"][0]["cameras"]["cam01"].__setitem__(0, [1e308, 1, 2])),
     422, "invalid_labels", "labels.frames[0].cameras.cam01"),
    ("a control character in a frame's id", _labels(lambda d: d["frames"][0].update(frame="a\u0000")), 422,
     "invalid_labels", "labels.frames[0].frame"),
    ("labels that are no JSON", _raw_labels(b"\x89PNG"), 422, "invalid_json", "labels"),
    ("labels nested without end", _raw_labels(b"[" * 200_000), 422, "invalid_json", "labels"),
    ("labels that are a list", _raw_labels(b"[]"), 422, "invalid_labels", "labels.frames"),
    ("labels of no frames", _raw_labels(b'{"frames": []}'), 422, "insufficient_labels", "labels.frames"),
    ("no labels", _without("labels"), 422, "missing_part", "labels"),
    ("no frames", _without("heatmaps"), 422, "missing_part", "frames"),
    ("images and heatmaps", _both_kinds, 422, "conflicting_parts", "frames"),
    ("a part nobody knows", _unexpected, 422, "unexpected_part", "videos"),
    ("an npz with objects", _arrays(heatmaps=OBJECTS), 422, "pickled_npz", "heatmaps.heatmaps"),
    ("frames as objects", _arrays(frames=OBJECTS), 422, "pickled_npz", "heatmaps.frames"),
    ("frames as numbers", _arrays(frames=np.arange(10)), 422, "invalid_heatmaps", "heatmaps.frames"),
    ("a frame twice", _arrays(frames=np.array(["000000"] * 10)), 422, "invalid_heatmaps", "heatmaps.frames"),
    ("no frames array", _arrays(frames=None), 422, "invalid_heatmaps", "heatmaps.frames"),
    ("a camera of another rig", _arrays(cameras=np.array(["cam01", "cam02", "cam77"])), 422, "unknown_camera",
     "heatmaps.cameras"),
    ("a camera missing", _arrays(cameras=np.array(["cam01", "cam02"])), 422, "missing_camera", "heatmaps.cameras"),
    ("a joint missing", _maps(lambda maps: maps[:, :, :-1]), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("other heatmap size", _maps(lambda maps: maps[..., :32]), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("doubles", _maps(lambda maps: maps[:, :, :].astype(np.float64)), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("NaN in heatmaps", _maps(_set_nan), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("absurd values", _maps(_set_huge), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("a header that lies", _lying_header, 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("a truncated npz", _truncated_npz, 422, "invalid_archive", "heatmaps"),
    ("a damaged npz", _damaged_npz, 422, "invalid_archive", "heatmaps"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "status", "code", "at"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_wrong_capture_is_refused_and_leaves_nothing(
    *, service: Service, world: World, make: Callable[[World], Sent], status: int, code: str, at: str | None
) -> None:
    rig = service.register(world)
    before = service.holdings()
    answer = upload(service, rig, make(world))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("at")) == (status, code, at), problem
    assert len(problem["detail"]) > 20
    assert service.holdings() == before


# --- archives of images ----------------------------------------------------------------------------------------------


def _bomb(entries: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [*entries.items(), ("000000/cam09.jpg", bytes(40 << 20))]


def _encrypted(entries: dict[str, bytes]) -> bytes:
    data = bytearray(payloads.zipped(entries))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(signature)
        data[place + offset] |= 1
    return bytes(data)


def _text_as_jpg(entries: dict[str, bytes]) -> dict[str, bytes]:
    return entries | {"000003/cam02.jpg": b"this is a text file, whatever it is called\n" * 10}


def _truncated_image(entries: dict[str, bytes]) -> dict[str, bytes]:
    return entries | {"000003/cam02.jpg": entries["000003/cam02.jpg"][:-40]}


def _renamed(entries: dict[str, bytes], name: str) -> list[tuple[str, bytes]]:
    return [(name if entry == "000000/cam01.jpg" else entry, data) for entry, data in entries.items()]


def _twice(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO(payloads.zipped(entries))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("000000/cam01.jpg", b"x")
    return buffer.getvalue()


IMAGES: list[tuple[str, Callable[[dict[str, bytes]], Any], int, str, str | None]] = [
    ("a zip bomb", _bomb, 413, "archive_bomb", "frames:000000/cam09.jpg"),
    ("a text file named .jpg", _text_as_jpg, 422, "invalid_image", "000003/cam02.jpg"),
    ("a truncated image", _truncated_image, 422, "invalid_image", "000003/cam02.jpg"),
    ("an image of another size", lambda e: e | {"000003/cam02.jpg": payloads.image(64, 96)}, 422, "wrong_image_size",
     "000003/cam02.jpg"),
    ("a gif", lambda e: e | {"000003/cam02.jpg": b"GIF89a" + bytes(50)}, 422, "invalid_image", "000003/cam02.jpg"),
    ("a huge png header", lambda e: e | {"000003/cam02.jpg": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\x7f" * 17}, 422,
     "wrong_image_size", "000003/cam02.jpg"),
    ("an unknown camera", lambda e: _renamed(e, "000000/cam77.jpg"), 422, "unknown_camera", "000000/cam77.jpg"),
    ("a path that climbs", lambda e: _renamed(e, "../cam01.jpg"), 422, "unsafe_path", "frames:../cam01.jpg"),
    ("an absolute path", lambda e: _renamed(e, "/000000/cam01.jpg"), 422, "unsafe_path", "frames:/000000/cam01.jpg"),
    ("another type", lambda e: _renamed(e, "000000/cam01.bmp"), 422, "invalid_entry", "000000/cam01.bmp"),
    ("a folder too deep", lambda e: _renamed(e, "a/000000/cam01.jpg"), 422, "invalid_entry", "a/000000/cam01.jpg"),
    ("a camera missing", lambda e: {k: v for k, v in e.items() if k != "000002/cam01.jpg"}, 422, "missing_camera",
     "frames:000002"),
    ("an image twice", lambda e: [*e.items(), ("000000/cam01.png", b"x")], 422, "duplicate_entry",
     "000000/cam01.png"),
    ("an entry twice", _twice, 422, "duplicate_entry", "frames:000000/cam01.jpg"),
    ("an encrypted zip", _encrypted, 422, "encrypted_archive", "frames:000000/cam01.jpg"),
    ("no zip", lambda _: b"hello", 422, "invalid_archive", "frames"),
    ("an empty file", lambda _: b"", 422, "invalid_archive", "frames"),
    ("an empty zip", lambda _: payloads.zipped({}), 422, "invalid_image", "frames"),
    ("too many entries", lambda e: e | {f"__MACOSX/{i}": b"" for i in range(20_000)}, 413, "too_many_entries",
     "frames"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "status", "code", "at"), [case[1:] for case in IMAGES], ids=[case[0] for case in IMAGES]
)
def test_wrong_images_are_refused_and_leave_nothing(
    *, service: Service, world: World, spoil: Callable[[dict[str, bytes]], Any], status: int, code: str, at: str
) -> None:
    rig = payloads.with_small_images(world.rig)
    identifier = service.client.post("/v1/rigs", json=payloads.rig_document(rig)).json()["id"]
    labels = small_labels(rig)
    spoiled = spoil(payloads.frame_entries(rig, [entry["frame"] for entry in labels["frames"]]))
    data = spoiled if isinstance(spoiled, bytes) else payloads.zipped(spoiled)
    before = service.holdings()
    answer = upload(service, identifier, payloads.files(labels, frames=data))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("at")) == (status, code, at), problem
    assert service.holdings() == before


def test_images_for_a_rig_with_other_joints_than_the_backbone_are_refused(service: Service, world: World) -> None:
    rig = Rig.from_dict(payloads.with_small_images(world.rig).to_dict() | {"joints": "totalcapture16"})
    identifier = service.client.post("/v1/rigs", json=payloads.rig_document(rig)).json()["id"]
    labels = small_labels(rig)
    entries = payloads.frame_entries(rig, [entry["frame"] for entry in labels["frames"]])
    answer = upload(service, identifier, payloads.files(labels, frames=payloads.zipped(entries)))
    assert (answer.status_code, answer.json()["code"]) == (409, "skeleton_mismatch")


def test_a_capture_of_another_rig_is_refused(service: Service, world: World) -> None:
    other = payloads.world(seed=5, cameras=4)
    answer = upload(service, service.register(world), good(other))
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_camera")


# --- the stream itself -----------------------------------------------------------------------------------------------


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
    answer = service.client.post("/v1/rigs/rig_0/captures", files=good(world))
    assert (answer.status_code, answer.json()["code"]) == (404, "rig_not_found")


def test_labels_survive_the_round_trip() -> None:
    labels = Labels(("a", "ü"), np.full((2, 1, 3, 2), np.nan), np.zeros((2, 1, 3), np.uint8))
    again = Labels.from_bytes(labels.to_bytes())
    assert again.frames == labels.frames
    np.testing.assert_array_equal(again.joints_image, labels.joints_image)
    assert labels.to_bytes() == again.to_bytes()

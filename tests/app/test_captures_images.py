"""Archives of images that are wrong are refused, with the entry's name, and leave nothing behind."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import payloads
import pytest
from running import Service

from models.rig import Rig
from models.worlds import World

pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)  # no database has a part in this


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
    labels = payloads.small_labels(rig)
    spoiled = spoil(payloads.frame_entries(rig, [entry["frame"] for entry in labels["frames"]]))
    data = spoiled if isinstance(spoiled, bytes) else payloads.zipped(spoiled)
    before = service.holdings()
    answer = service.upload(identifier, payloads.files(labels, frames=data))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("at")) == (status, code, at), problem
    assert service.holdings() == before


def test_images_for_a_rig_with_other_joints_than_the_backbone_are_refused(service: Service, world: World) -> None:
    rig = Rig.from_dict(payloads.with_small_images(world.rig).to_dict() | {"joints": "totalcapture16"})
    identifier = service.client.post("/v1/rigs", json=payloads.rig_document(rig)).json()["id"]
    labels = payloads.small_labels(rig)
    entries = payloads.frame_entries(rig, [entry["frame"] for entry in labels["frames"]])
    answer = service.upload(identifier, payloads.files(labels, frames=payloads.zipped(entries)))
    assert (answer.status_code, answer.json()["code"]) == (409, "skeleton_mismatch")


def test_a_capture_of_another_rig_is_refused(service: Service, world: World) -> None:
    other = payloads.world(seed=5, cameras=4)
    answer = service.upload(service.register(world), payloads.capture(other))
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_camera")

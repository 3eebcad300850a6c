"""Upload limits, tried with a service that takes very little."""

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import payloads
import pytest
from running import Service, serving

from app.settings import Settings
from models.worlds import World


@pytest.fixture(scope="module")
def strict(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    limits = {"max_labels_bytes": 1000, "max_upload_bytes": 300_000, "max_unpacked_bytes": 400_000,
              "max_capture_frames": 4, "max_pose_frames": 2, "max_image_pixels": 1000,
              "max_json_bytes": 20_000}  # fmt: skip
    with serving(make_settings(**limits)) as running:
        yield running


def stored_zip(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def many_directory_entries() -> bytes:
    """A small file whose directory alone holds more names than any capture."""
    return stored_zip({f"__MACOSX/{i:05d}": b"" for i in range(2500)})


@pytest.mark.parametrize(
    ("parts", "code", "at"),
    [
        ({"labels": b" " * 1001}, "upload_too_large", "labels"),
        ({"labels": b'{"frames": []}', "heatmaps": b"x" * 300_001}, "upload_too_large", None),
        ({"labels": b'{"frames": [1, 2, 3, 4, 5]}'}, "too_many_frames", "labels.frames"),
    ],
)
def test_too_much_is_refused(
    *, strict: Service, world: World, parts: dict[str, Any], code: str, at: str | None
) -> None:
    rig = strict.register(world)
    before = strict.holdings()
    answer = strict.client.post(f"/v1/rigs/{rig}/captures", files=payloads.files(**parts))
    assert (answer.status_code, answer.json()["code"], answer.json().get("at")) == (413, code, at)
    assert strict.holdings() == before


@pytest.mark.parametrize(
    ("part", "data", "status", "code"),
    [
        ("frames", many_directory_entries(), 413, "too_many_entries"),
        ("frames", stored_zip({"a/cam01.jpg": bytes(1), "b/x": bytes(10)}), 422, "invalid_entry"),
        ("frames", payloads.zipped({"a/cam01.jpg": bytes(500_000)}), 413, "archive_bomb"),
        ("heatmaps", payloads.npz(heatmaps=bytes(500_000)), 413, "archive_bomb"),
        ("heatmaps", payloads.npz(frames=["a", "b", "c"], cameras=["cam01", "cam02", "cam03"]), 413, "too_many_frames"),
    ],
)  # fmt: skip
def test_archives_are_bounded_before_they_are_unpacked(
    *, strict: Service, world: World, part: str, data: bytes, status: int, code: str
) -> None:
    rig = strict.register(world)
    before = strict.holdings()
    answer = strict.client.post(f"/v1/rigs/{rig}/poses", files=payloads.files(**{part: data}))
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert strict.holdings() == before


def test_a_stream_that_does_not_say_its_length_is_bounded_too(strict: Service, world: World) -> None:
    rig = strict.register(world)

    def endless() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="heatmaps"\r\n\r\n'
        for _ in range(40):
            yield bytes(10_000)

    answer = strict.client.post(
        f"/v1/rigs/{rig}/poses", content=endless(), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert list(strict.settings.uploads_dir.iterdir()) == []


@pytest.mark.parametrize("path", ["/v1/rigs", "/v1/rigs/rig_0/captures/x", "/rigs/rig_0/posesx", "/v1/adaptations"])
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json", ""])
def test_only_uploads_may_be_large_whatever_content_type_they_claim(strict: Service, path: str, kind: str) -> None:
    answer = strict.client.post(path, content=b'"' + bytes(20_000), headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert "20,000 bytes" in answer.json()["detail"]


def test_a_stream_that_claims_to_be_multipart_is_not_collected(strict: Service) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(2000)

    answer = strict.client.post(
        "/v1/rigs", content=endless(), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")


def test_what_a_killed_process_left_is_removed_at_the_next_start(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    old, young = settings.uploads_dir / "old", settings.uploads_dir / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "labels").write_bytes(b"x")
    os.utime(old, (0, 0))
    with serving(settings):
        assert list(settings.uploads_dir.iterdir()) == [young]


def test_images_beyond_the_pixel_limit_are_refused(strict: Service, world: World) -> None:
    rig = payloads.with_small_images(world.rig)
    identifier = strict.client.post("/v1/rigs", json=payloads.rig_document(rig)).json()["id"]
    data = payloads.zipped(payloads.frame_entries(rig, ["a"]))
    answer = strict.client.post(f"/v1/rigs/{identifier}/poses", files=payloads.files(frames=data))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_image")
    assert "pixels" in answer.json()["detail"]

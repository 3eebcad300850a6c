"""The size of an image from its header, whatever lies before it."""

import payloads
import pytest

from app.images import image_size

JPEG = payloads.image(96, 64)
SEGMENT = b"\xff\xe1\x00\x04ab"


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_the_header_tells_the_size(extension: str) -> None:
    assert image_size(payloads.image(96, 64, extension)) == (96, 64)


@pytest.mark.parametrize("before", [b"\xff", SEGMENT, b"\xff\xd0"])
def test_some_segments_may_come_before_the_size_and_no_endless_run(before: bytes) -> None:
    assert image_size(JPEG[:2] + before * 5000 + JPEG[2:]) == (96, 64)
    assert image_size(JPEG[:2] + before * 10_000 + JPEG[2:]) is None

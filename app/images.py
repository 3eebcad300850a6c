"""Images from strangers: type and size are read from the header before a decoder sees the bytes."""

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidImage
from models.rig import Camera

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_MAX_SEGMENTS = 10_000  # with fill bytes; cameras write some dozens
# Pixels as the sensor wrote them: a calibration knows nothing of an EXIF orientation.
_DECODE = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


def decode_image(data: bytes, camera: Camera, at: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG of ``camera`` to RGB uint8 [h, w, 3].

    Raises InvalidImage, with ``at`` naming the image, for another type, another size, or damaged bytes.
    """
    size = image_size(data)
    if size is None:
        raise InvalidImage(f"{at} is neither a PNG nor a JPEG image, whatever its name says.", at=at)
    width, height = size
    if (width, height) != (camera.width, camera.height):
        raise InvalidImage(
            f"{at} is {width}×{height}; camera {camera.id!r} was registered as {camera.width}×{camera.height}.",
            at=at,
            code="wrong_image_size",
        )
    if width * height > max_pixels:
        raise InvalidImage(f"{at} has more than the {max_pixels:,} pixels taken here.", at=at)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _DECODE)
    except cv2.error:
        image = None
    if image is None or image.shape != (height, width, 3):
        raise InvalidImage(f"{at} is truncated or damaged.", at=at)
    return image.astype(np.uint8, copy=False)


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header tells, or None where it is neither PNG nor JPEG."""
    if data.startswith(_PNG):
        if len(data) < 24 or data[12:16] != b"IHDR":
            return None
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    for _ in range(_MAX_SEGMENTS):
        if position + 9 > len(data) or data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        else:
            position += 2 + int(struct.unpack(">H", data[position + 2 : position + 4])[0])
    return None

"""A user's own image files, in a folder or a zip, and JSON documents: read with errors that name the file."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidImage, InvalidInput

SUFFIXES: Final = (".jpg", ".jpeg", ".png")
# Pixels as the sensor wrote them, as in serving: a calibration knows nothing of an EXIF orientation.
_DECODE: Final = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


class ImageFiles:
    """The images of a folder or a zip by their names without suffix, such as ``000012/cam01``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        try:
            if path.is_dir():
                found = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
            else:
                self._zip = zipfile.ZipFile(path)
                found = [info.filename.removeprefix("./") for info in self._zip.infolist() if not info.is_dir()]
        except (OSError, zipfile.BadZipFile) as error:
            raise InvalidImage(f"{path} is neither a folder nor a zip of images: {error}.", at=str(path)) from error
        self._names = {_stem(name): name for name in sorted(found) if name.lower().endswith(SUFFIXES)}

    def read(self, stem: str) -> NDArray[np.uint8]:
        """RGB uint8 [h, w, 3] of the image called ``stem`` with any suffix; raises InvalidImage naming it."""
        if stem not in self._names:
            known = f"{len(self._names)} images are there, such as {next(iter(self._names.values()))}"
            told = known if self._names else "no JPEG or PNG image is there"
            raise InvalidImage(f"{self.path} has no image {stem}.jpg or .png; {told}.", at=stem, code="missing_image")
        name = self._names[stem]
        try:
            data = (self.path / name).read_bytes() if self._zip is None else self._zip.read(name)
        except (OSError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise InvalidImage(f"{name} in {self.path} cannot be read: {error}.", at=name) from error
        return decode(data, name)


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """RGB uint8 [h, w, 3] from the bytes of a JPEG or PNG; raises InvalidImage naming it."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _DECODE)
    except cv2.error:
        image = None
    if image is None:
        raise InvalidImage(f"{name} is not an image, or is truncated or damaged.", at=name)
    return np.asarray(image, np.uint8)


def read_json(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file; raises InvalidInput naming it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as JSON: {error}.", at=str(path)) from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} must hold a JSON object.", at=str(path))
    return document


def _stem(name: str) -> str:
    return name.rpartition(".")[0]

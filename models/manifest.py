"""A backbone's manifest: which file the network is, its digest, how it is fed and which joints it finds."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.geometry import INPUT_SIZE
from models.skeletons import SKELETONS


@dataclass(frozen=True)
class InputFormat:
    """What the network takes; a float32 network sees (image · scale − mean) / std, a uint8 one the image itself."""

    name: str
    layout: str
    dtype: str
    colour: str
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        choices = {"layout": ("NHWC", "NCHW"), "dtype": ("uint8", "float32"), "colour": ("RGB", "BGR")}
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise _refused(f"input.{key}", f"must be one of {', '.join(allowed)}")
        numbers = np.array([self.scale, *self.mean, *self.std], dtype=np.float64)
        if numbers.shape != (7,) or not np.isfinite(numbers).all() or 0 in (self.scale, *self.std):
            raise _refused("input", "needs a finite scale, three means and three standard deviations, none zero")
        if self.dtype == "uint8" and list(numbers) != [1, 0, 0, 0, 1, 1, 1]:
            raise _refused("input", "scales a uint8 network's image, which reaches the network as it is")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image."""
        return (3, INPUT_SIZE, INPUT_SIZE) if self.layout == "NCHW" else (INPUT_SIZE, INPUT_SIZE, 3)

    def apply(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Uint8 RGB [N,256,256,3] → what the network takes; mean and std are in the network's own colour order."""
        pixels: NDArray[Any] = images[..., ::-1] if self.colour == "BGR" else images
        if self.dtype == "float32":
            pixels = (pixels * np.float32(self.scale) - np.array(self.mean, np.float32)) / np.array(
                self.std, np.float32
            )
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2) if self.layout == "NCHW" else pixels)


@dataclass(frozen=True)
class Manifest:
    """A network's file, its digest, and how to feed and read it."""

    name: str
    file: str
    sha256: str
    joints: str
    input: InputFormat
    output: str

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read and check a manifest; raises InvalidInput with ``at`` naming the entry."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _refused(None, f"{path.name} cannot be read as JSON: {error}") from error
        return cls.from_dict(document)

    @classmethod
    def from_dict(cls, document: Any) -> "Manifest":
        """Check the JSON of a manifest; ``licence`` and ``provenance`` are for people and are not looked at."""
        known = {"name", "file", "sha256", "joints", "input", "output", "licence", "provenance"}
        _check_keys(document, None, required=known - {"licence", "provenance"}, known=known)
        for key in ("name", "file", "sha256", "joints"):
            if not isinstance(document[key], str):
                raise _refused(key, "must be text")
        if document["joints"] not in SKELETONS:
            raise _refused("joints", f"must be one of {', '.join(sorted(SKELETONS))}")
        _check_keys(document["output"], "output", required={"name"}, known={"name"})
        return cls(
            name=document["name"],
            file=document["file"],
            sha256=document["sha256"],
            joints=document["joints"],
            input=_input_format(document["input"]),
            output=document["output"]["name"],
        )

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the heatmaps: the network and how it is fed."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def _refused(at: str | None, reason: str) -> InvalidInput:
    return InvalidInput(f"The backbone manifest: {at or 'it'} {reason}.", at=at, code="invalid_manifest")


def _check_keys(document: Any, at: str | None, *, required: set[str], known: set[str]) -> None:
    if not isinstance(document, dict):
        raise _refused(at, "must be a JSON object")
    if missing := sorted(required - document.keys()):
        raise _refused(at, f"lacks {', '.join(missing)}")
    if unknown := sorted(document.keys() - known):
        raise _refused(at, f"has entries that are not known: {', '.join(unknown)}")


def _input_format(document: Any) -> InputFormat:
    required = {"name", "layout", "dtype", "colour"}
    _check_keys(document, "input", required=required, known=required | {"scale", "mean", "std"})
    lists = {key: tuple(document[key]) for key in ("mean", "std") if isinstance(document.get(key), list)}
    try:
        return InputFormat(**{**document, **lists})
    except (TypeError, ValueError) as error:
        raise _refused("input", "needs numbers for scale, mean and std") from error

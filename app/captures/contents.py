"""A capture's labels as an artifact: written when it is sealed, read back by whoever learns from it."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import CorruptArtifact


@dataclass(frozen=True)
class Labels:
    """A capture's 2D labels: joints_image [F, V, J, 2] in raw image pixels, visibility [F, V, J]."""

    frames: tuple[str, ...]
    joints_image: NDArray[np.float64]
    visibility: NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        """The labels as an npz; the same labels give the same bytes."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            frames=np.array(self.frames, dtype="U"),
            joints_image=self.joints_image,
            visibility=self.visibility,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Labels":
        """Read what to_bytes wrote; raises CorruptArtifact."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                frames = tuple(str(name) for name in arrays["frames"])
                return cls(frames, arrays["joints_image"], arrays["visibility"])
        except (ValueError, KeyError, OSError) as error:
            raise CorruptArtifact("The labels of this capture cannot be read.") from error

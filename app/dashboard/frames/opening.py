"""Footage as it lies in the store, opened once for all of its frames: its digest is not computed for each of them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.artifacts import Artifacts, missing
from app.captures.contents import Labels
from app.dashboard.frames.subjects import Footage
from app.errors import NotFound
from app.framesets import FrameFile, reopen_frames
from app.settings import Settings
from models.errors import CorruptArtifact, InvalidInput
from models.labelled import labels_to_view
from models.metrics import half_head_px
from models.rig import Rig

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FrameLabels:
    """The labels of one frame: joints_image [V, J, 2] in raw image pixels, NaN where there are none.

    ``near`` [V], in normalised coordinates, is how near to its label a joint counts as found.
    """

    joints_image: Array
    visibility: NDArray[np.uint8]
    near: Array


@dataclass(frozen=True)
class Opened:
    """Frames that were found whole, and their labels."""

    rig: Rig
    file: FrameFile
    labels: Labels | None
    sha256: str

    @property
    def is_here(self) -> bool:
        """Whether the file is still where it was: of a store elsewhere there are copies, which come and go."""
        return self.file.path.is_file()

    def check(self, index: int) -> None:
        """Raise NotFound where there is no such frame."""
        if index >= len(self.file.frames):
            told = f"There is no frame {index}: the first of {len(self.file.frames)} is 0."
            raise NotFound(told, at="path.index", code="frame_not_found")

    def labels_of(self, index: int) -> FrameLabels | None:
        """The labels of a frame, if it has any."""
        if self.labels is None or (place := self._places.get(self.file.frames[index])) is None:
            return None
        return FrameLabels(self.labels.joints_image[place], self.labels.visibility[place], self._near[place])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {} if self.labels is None else {name: place for place, name in enumerate(self.labels.frames)}

    @cached_property
    def _near(self) -> Array:
        """Half a head's size, as the joint detection rate counts [F, V]."""
        if self.labels is None:
            return np.empty(0)
        half = half_head_px(self.rig.skeleton, labels_to_view(self.rig, self.labels.joints_image))
        return half / np.array([view.scale for view in self.rig.views])

    @contextlib.contextmanager
    def reading(self) -> Iterator[FrameFile]:
        """The file, to be read in the block; what is wrong with it there is the store's fault, not the reader's."""
        with _of_the_store(self.sha256):
            yield self.file


def open_footage(artifacts: Artifacts, settings: Settings, footage: Footage) -> Opened:
    """Find it whole; raises CorruptArtifact where the store does not hold what was sealed."""
    sha256 = footage.source_sha256
    labels = Labels.from_bytes(artifacts.read(footage.labels_sha256)) if footage.labels_sha256 else None
    with artifacts.borrow(sha256) as path, _of_the_store(sha256):
        file = reopen_frames(footage.kind, path, footage.rig, settings, settings.max_capture_frames)
    return Opened(footage.rig, file, labels, sha256)


@contextlib.contextmanager
def _of_the_store(sha256: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise missing(sha256) from None
    except InvalidInput as error:
        raise CorruptArtifact(f"The artifact {sha256} cannot be read: {error.message}") from error

"""The domain errors of RigFuse, none of which knows HTTP.

RigFuseError
├── InvalidInput              what the caller sent cannot be used
│   ├── InvalidRig            a calibration that cannot be right
│   ├── InvalidLabels         labels that do not fit the rig
│   │   └── InsufficientLabels    too few labelled frames to learn from
│   ├── InvalidHeatmaps       wrong shape, type or values
│   ├── InvalidImage          not an image, or not this camera's image
│   ├── InvalidOptions        an unknown method or option
│   └── DatasetError          a file of a published data set is not as its format says
├── SkeletonMismatch          the backbone predicts other joints than the rig has
├── CheckpointMismatch        a checkpoint of another rig
├── CorruptArtifact           stored bytes that are not what they claim to be
├── DeviceUnavailable         a device was asked for that is not there
└── Cancelled                 the caller asked the engine to stop
"""

from typing import ClassVar


class RigFuseError(Exception):
    """Base of all domain errors.

    ``code`` is stable and machine-readable; ``at`` is the place in the input, such as ``cameras[1].K``.
    """

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, at: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.code = code or self.default_code


class InvalidInput(RigFuseError):
    """What the caller sent cannot be used."""

    default_code = "invalid_input"


class InvalidRig(InvalidInput):
    """A calibration that cannot be right."""

    default_code = "invalid_rig"


class InvalidLabels(InvalidInput):
    """Labels that do not fit the rig."""

    default_code = "invalid_labels"


class InsufficientLabels(InvalidLabels):
    """Too few labelled frames to learn from."""

    default_code = "insufficient_labels"


class InvalidHeatmaps(InvalidInput):
    """Heatmaps of the wrong shape, type or values."""

    default_code = "invalid_heatmaps"


class InvalidImage(InvalidInput):
    """Bytes that are no image, or not an image of this camera."""

    default_code = "invalid_image"


class InvalidOptions(InvalidInput):
    """An unknown method or an option out of range."""

    default_code = "invalid_options"


class DatasetError(InvalidInput):
    """A file of a published data set is missing or not as its format says; ``at`` is the file and the place in it."""

    default_code = "invalid_dataset"


class SkeletonMismatch(RigFuseError):
    """The backbone predicts other joints than the rig has."""

    default_code = "skeleton_mismatch"


class CheckpointMismatch(RigFuseError):
    """A checkpoint of another rig."""

    default_code = "checkpoint_mismatch"


class CorruptArtifact(RigFuseError):
    """Stored bytes that are not what they claim to be."""

    default_code = "corrupt_artifact"


class DeviceUnavailable(RigFuseError):
    """A compute device was asked for that is not there."""

    default_code = "device_unavailable"


class Cancelled(RigFuseError):
    """The caller asked the engine to stop; raised from inside a progress callback."""

    default_code = "cancelled"

"""Errors of the service itself, and the one table that says which HTTP status each domain error becomes.

RigFuseError (models.errors)
├── NotFound              no such rig, capture, adaptation or checkpoint
├── Conflict              the thing is in a state that does not allow this
│   └── Locked            another request works on it at this moment
├── Unauthorized          no valid API key came with the request
├── Forbidden             the key does not allow this
├── UploadTooLarge        more bytes, parts, frames or pixels than the service takes
├── UnsupportedMedia      another content type than the endpoint reads
├── TooManyRequests       the key's rate or quota is used up, for now
├── ServiceUnavailable    a part the service needs does not answer, or all turns are taken
├── StorageFull           there is no room for what was sent
└── MisconfiguredService  settings under which the service must not start
"""

from typing import ClassVar

from models import errors as domain
from models.errors import RigFuseError


class NotFound(RigFuseError):
    """There is nothing of that name, or it is not visible."""

    default_code: ClassVar[str] = "not_found"


class Conflict(RigFuseError):
    """The request is sound but not in this state."""

    default_code: ClassVar[str] = "conflict"


class Locked(Conflict):
    """Another request works on it at this moment."""

    default_code: ClassVar[str] = "locked"


class Unauthorized(RigFuseError):
    """No valid API key came with the request; ``challenge`` tells the client how to send one."""

    default_code: ClassVar[str] = "unauthorized"

    def __init__(self, message: str, *, at: str | None = None, challenge: str = "Bearer") -> None:
        super().__init__(message, at=at)
        self.challenge = challenge


class Forbidden(RigFuseError):
    """The caller is known but may not do this."""

    default_code: ClassVar[str] = "forbidden"


class UploadTooLarge(RigFuseError):
    """More than the service takes in one request."""

    default_code: ClassVar[str] = "upload_too_large"


class UnsupportedMedia(RigFuseError):
    """The endpoint does not read this content type."""

    default_code: ClassVar[str] = "unsupported_media_type"


class TooManyRequests(RigFuseError):
    """The caller has used up its rate or quota; ``retry_after_s`` tells when it may come again."""

    default_code: ClassVar[str] = "too_many_requests"

    def __init__(self, message: str, *, at: str | None = None, code: str | None = None, retry_after_s: float) -> None:
        super().__init__(message, at=at, code=code)
        self.retry_after_s = retry_after_s


class ServiceUnavailable(RigFuseError):
    """A part that the service needs does not answer; where it is worth trying again, ``retry_after_s`` tells when."""

    default_code: ClassVar[str] = "service_unavailable"

    def __init__(
        self, message: str, *, at: str | None = None, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, at=at, code=code)
        self.retry_after_s = retry_after_s


class StorageFull(RigFuseError):
    """There is no room for what was sent."""

    default_code: ClassVar[str] = "storage_full"


class MisconfiguredService(RigFuseError):
    """Settings under which the service must not start."""

    default_code: ClassVar[str] = "misconfigured"


HTTP_STATUS: dict[type[RigFuseError], int] = {
    RigFuseError: 500,
    domain.InvalidInput: 422,
    domain.InvalidRig: 422,
    domain.InvalidLabels: 422,
    domain.InsufficientLabels: 422,
    domain.InvalidHeatmaps: 422,
    domain.InvalidImage: 422,
    domain.InvalidOptions: 422,
    domain.DatasetError: 422,
    domain.SkeletonMismatch: 409,
    domain.CheckpointMismatch: 409,
    domain.CorruptArtifact: 500,
    domain.DeviceUnavailable: 503,
    domain.Cancelled: 409,
    NotFound: 404,
    Conflict: 409,
    Locked: 423,
    Unauthorized: 401,
    Forbidden: 403,
    UploadTooLarge: 413,
    UnsupportedMedia: 415,
    TooManyRequests: 429,
    ServiceUnavailable: 503,
    StorageFull: 507,
    MisconfiguredService: 500,
}


def http_status(error: RigFuseError) -> int:
    """The status an error becomes; a class that is not in the table takes its nearest ancestor's."""
    return next(HTTP_STATUS[cls] for cls in type(error).__mro__ if cls in HTTP_STATUS)

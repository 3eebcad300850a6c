"""Artifacts in an S3-compatible store, under the names they have in a local one; readers work on a local copy."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

import structlog

from app.artifact_cache import ArtifactCache
from app.artifacts import Artifacts, Stored, check_name, corrupt, missing
from app.errors import MisconfiguredService, ServiceUnavailable
from app.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Store

log = structlog.get_logger(__name__)

_PART = 8 << 20
_PARTS_AT_ONCE = 4
_RETRIES = 2
_PROBE = "incoming/probe"


class S3Artifacts(Artifacts):
    """Artifacts in a bucket, ``s3://bucket/prefix``; written whole or not at all, as S3 does it."""

    def __init__(self, settings: Settings) -> None:
        self._store = _connect(settings)
        self.cache = ArtifactCache(settings.data_dir / "artifact-cache", settings.artifacts_cache_bytes)

    def put_bytes(self, data: bytes) -> str:
        """Store ``data`` and answer its SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._put(_key(sha256), data)
        return sha256

    def put_file(self, path: Path) -> str:
        """Store a copy of the file at ``path`` and answer its SHA-256, in bounded memory."""
        with path.open("rb") as handle:
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
            handle.seek(0)
            self._put(_key(sha256), handle)
        return sha256

    def open(self, sha256: str) -> BinaryIO:
        """A local copy, verified and at its beginning; it stays readable if the artifact is deleted."""
        check_name(sha256)
        return self.cache.open(sha256, lambda: self._size(sha256), lambda handle: self._fetch(sha256, handle))

    @contextlib.contextmanager
    def borrow(self, sha256: str) -> Iterator[Path]:
        """Where a local copy lies, verified; it is not thrown out while in the block."""
        with self.open(sha256):
            yield self.cache.path(sha256)

    def holds(self, sha256: str) -> bool:
        """Whether there is an artifact of that name; its bytes are not looked at."""
        try:
            with _answering():
                self._store.head(_key(sha256))
        except FileNotFoundError:
            return False
        return True

    def delete(self, sha256: str) -> None:
        """Remove the artifact and this machine's copy; no error where it is not there."""
        key = _key(sha256)
        self.cache.drop(sha256)
        with _answering(), contextlib.suppress(FileNotFoundError):
            self._store.delete(key)

    def list(self) -> Iterator[Stored]:
        """Everything stored, in no order."""
        with _answering():
            for batch in self._store.list(chunk_size=1000):
                for found in batch:
                    folder, _, name = found["path"].rpartition("/")
                    if len(name) == 64 and folder == name[:2]:
                        yield Stored(name, found["last_modified"])

    def forget_incoming(self, older_than_s: float = 0.0) -> int:
        """Remove local copies that were begun this long ago; parts of uploads are for a rule of the bucket."""
        return self.cache.forget_incoming(older_than_s)

    def copies(self) -> Iterable[str]:
        """The artifacts that this machine has copies of."""
        return self.cache.names()

    def forget_copy(self, sha256: str) -> None:
        """Remove this machine's copy; no error where it has none."""
        self.cache.drop(sha256)

    def check_writable(self) -> None:
        """Write a small object, always the same."""
        self._put(_PROBE, b"ok")

    def _put(self, key: str, data: bytes | IO[bytes]) -> None:
        with _answering():
            self._store.put(key, data, chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE)

    def _size(self, sha256: str) -> int:
        with _telling_missing(sha256), _answering():
            return self._store.head(_key(sha256))["size"]

    def _fetch(self, sha256: str, handle: IO[bytes]) -> None:
        """Download in pieces, each of which is tried again by itself."""
        digest, size = hashlib.sha256(), self._size(sha256)
        with _telling_missing(sha256), _answering():
            for start in range(0, size, _PART):
                piece = self._store.get_range(_key(sha256), start=start, end=min(start + _PART, size))
                digest.update(piece)
                handle.write(piece)
        if digest.hexdigest() != sha256:
            raise corrupt(sha256)


def _connect(settings: Settings) -> "S3Store":
    parts = urlsplit(settings.artifacts_url)
    if not parts.netloc:
        raise _misconfigured("a bucket is named like s3://bucket/prefix")
    try:
        from obstore.store import S3Store  # noqa: PLC0415 -- an optional extra
    except ImportError:
        raise _misconfigured("install rigfuse with the extra s3") from None
    patience = timedelta(seconds=settings.artifacts_timeout_s)
    options: dict[str, Any] = {
        "region": settings.artifacts_region,
        "checksum_algorithm": "sha256",  # the store refuses what was damaged on its way
        "client_options": {
            "connect_timeout": patience,
            "read_timeout": patience,
            "timeout": 6 * patience,
            "allow_http": settings.artifacts_endpoint.startswith("http://"),
        },
        "retry_config": {"max_retries": _RETRIES, "retry_timeout": patience},
    }
    if settings.artifacts_endpoint:
        options |= {"endpoint": settings.artifacts_endpoint, "virtual_hosted_style_request": False}
    if settings.artifacts_access_key_id:
        options["access_key_id"] = settings.artifacts_access_key_id
        options["secret_access_key"] = settings.artifacts_secret_access_key.get_secret_value()
    try:
        return S3Store(parts.netloc, prefix=unquote(parts.path).strip("/") or None, **options)
    except Exception as error:  # whatever the library finds wrong with the settings
        raise _misconfigured(str(error).splitlines()[0]) from error


def _misconfigured(why: str) -> MisconfiguredService:
    return MisconfiguredService(f"The artifact store cannot be used: {why}.", at="RIGFUSE_ARTIFACTS_URL")


def _key(sha256: str) -> str:
    check_name(sha256)
    return f"{sha256[:2]}/{sha256}"


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Raise ServiceUnavailable where the store does not answer, or does not let us in."""
    from obstore.exceptions import BaseError  # noqa: PLC0415 -- an optional extra

    try:
        yield
    except (BaseError, PermissionError, ConnectionError, TimeoutError) as error:
        log.warning("artifacts_failed", error=str(error).splitlines()[0])
        raise ServiceUnavailable(
            "The artifact store does not answer; try again in a moment.", at="artifacts", retry_after_s=5
        ) from error


@contextlib.contextmanager
def _telling_missing(sha256: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise missing(sha256) from None

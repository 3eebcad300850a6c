"""Resumable uploads on the disk: what an upload is lies beside its bytes, and its offset is how many there are.

``<id>.json`` says what was declared, ``<id>.data`` holds what came. A process that is killed loses nothing that the
operating system had, and the lock on the data ends with whoever held it.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from io import FileIO
from pathlib import Path

from app.access.principal import Principal
from app.errors import Conflict, Forbidden, Locked, NotFound, StorageFull, TooManyRequests
from app.resumable.records import Declared, Pending, is_upload_id
from app.settings import Settings
from app.tables.base import new_id, utc_now
from app.uploads import RESUMABLE
from models.errors import InvalidInput

_SPARE_BYTES = 64 << 20  # what is left to everybody else on the disk
_RETRY_S = 60.0
_STUDIOS_SHARE = 0.5  # so that no studio can take the room of all others
_IN_PATH = "path.upload_id"


class UploadStore:
    """The resumable uploads of a deployment; API processes that share the data directory share them."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.uploads_dir / RESUMABLE
        self._max_bytes = settings.max_upload_bytes
        self._per_key = settings.uploads_per_key
        self._total_bytes = settings.uploads_total_bytes
        self._expiry = timedelta(seconds=settings.upload_expiry_s)

    def create(self, owner: Principal, length: int, sha256: str | None, metadata: str) -> Pending:
        """Begin an upload of ``length`` bytes; raises TooManyRequests, Forbidden and StorageFull: there is no room."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self.sweep()
            self._check_room(owner, length)
            declared = Declared(new_id("upl"), owner.studio, owner.key_id, length, sha256, metadata, utc_now())
            self._data(declared.id).touch(mode=0o600)
            self._write(declared)
        return self._pending(declared)

    def find(self, owner: Principal, upload_id: str, at: str = _IN_PATH) -> Pending:
        """The upload as it stands; raises NotFound, also where it is another studio's or its time is over."""
        pending = self._read(upload_id) if is_upload_id(upload_id) else None
        if pending is None or pending.is_over or not _may_see(owner, pending.declared):
            raise NotFound(f"There is no upload {upload_id[:40]!r}.", at=at, code="upload_not_found")
        return pending

    def all(self, owner: Principal) -> list[Pending]:
        """The uploads of the owner's studio, or of all studios, the newest first."""
        found = [pending for pending in self._everything() if _may_see(owner, pending.declared) and not pending.is_over]
        return sorted(found, key=lambda pending: (pending.declared.created_at, pending.id), reverse=True)

    @contextlib.contextmanager
    def appending(self, owner: Principal, upload_id: str, offset: int) -> Iterator[FileIO]:
        """The upload's file, to write behind ``offset``; raises Conflict where that is not its end, and Locked."""
        with self._locked(owner, upload_id) as (pending, file):
            if offset != pending.offset:
                raise Conflict(
                    f"The upload stands at {pending.offset}, not at {offset}; go on from there.",
                    at="header.upload-offset",
                    code="offset_mismatch",
                )
            yield file

    def finish(self, owner: Principal, upload_id: str) -> Pending:
        """Check an upload that has come whole; raises InvalidInput, and removes it, where its SHA-256 is another."""
        with self._locked(owner, upload_id) as (pending, _):
            return self._verified(pending)

    @contextlib.contextmanager
    def claimed(self, owner: Principal, upload_id: str, at: str) -> Iterator[Path]:
        """The file of a finished upload, for one use: it is removed where the block ends well, and stays otherwise."""
        with self._locked(owner, upload_id, at) as (pending, _):
            if not pending.is_complete:
                raise Conflict(
                    f"The upload has {pending.offset:,} of its {pending.declared.length:,} bytes; send the rest first.",
                    at=at,
                    code="upload_incomplete",
                )
            self._verified(pending)
            yield self._data(upload_id)
            self._unlink(upload_id)

    def remove(self, owner: Principal, upload_id: str) -> None:
        """End an upload before its time; raises Locked while it is being written or used."""
        with self._locked(owner, upload_id):
            self._unlink(upload_id)

    def sweep(self) -> int:
        """Remove what nobody went on with, and what a killed process left half made; answers how many."""
        over = [pending for pending in self._everything() if pending.is_over]
        for pending in over:
            with contextlib.suppress(Locked, FileNotFoundError), _lock(self._data(pending.id)):
                self._unlink(pending.id)
        for path in [*self._folder.glob("*.data"), *self._folder.glob("*.new")]:
            with contextlib.suppress(FileNotFoundError):
                if not path.with_suffix(".json").exists() and _age(path) > self._expiry:
                    path.unlink()
        return len(over)

    @contextlib.contextmanager
    def _locked(self, owner: Principal, upload_id: str, at: str = _IN_PATH) -> Iterator[tuple[Pending, FileIO]]:
        self.find(owner, upload_id, at)
        try:
            with _lock(self._data(upload_id)) as file:
                yield self.find(owner, upload_id, at), file  # again: another may have ended it meanwhile
        except FileNotFoundError:
            self.find(owner, upload_id, at)  # tells NotFound
            raise

    def _verified(self, pending: Pending) -> Pending:
        declared = pending.declared
        if declared.verified or not pending.is_complete:
            return pending
        if declared.sha256 is not None and _sha256(self._data(pending.id)) != declared.sha256:
            self._unlink(pending.id)
            raise InvalidInput(
                "The bytes that came are not those of the declared sha256; the upload is removed, send it again.",
                at="upload",
                code="checksum_mismatch",
            )
        done = replace(declared, verified=True)
        self._write(done)
        return replace(pending, declared=done)

    def _check_room(self, owner: Principal, length: int) -> None:
        waiting = self._everything()
        if sum(other.declared.key_id == owner.key_id for other in waiting) >= self._per_key:
            raise TooManyRequests(
                f"This key has {self._per_key} uploads already; use or end one of them first.",
                code="too_many_uploads",
                retry_after_s=_RETRY_S,
            )
        promised = sum(other.declared.length for other in waiting)
        self._check_share(owner, length, [other.declared for other in waiting])
        to_come = sum(other.declared.length - other.offset for other in waiting)
        free = shutil.disk_usage(self._folder).free - _SPARE_BYTES
        if promised + length > self._total_bytes or to_come + length > free:
            raise StorageFull(f"There is no room for {length:,} bytes; try again later.", code="no_room_for_upload")

    def _check_share(self, owner: Principal, length: int, waiting: list[Declared]) -> None:
        """Raise Forbidden beyond the key's quota, and StorageFull beyond what one studio may declare."""
        wanted = length + sum(other.length for other in waiting if other.studio == owner.studio)
        allowed = owner.allowance.stored_bytes
        if allowed is not None and wanted > allowed:
            raise Forbidden(
                f"Captures may take {allowed:,} bytes, and with this upload {wanted:,} would be declared.",
                at="header.upload-length",
                code="quota_exceeded",
            )
        share = int(_STUDIOS_SHARE * self._total_bytes)
        if owner.studio and wanted > share:
            raise StorageFull(
                f"A studio's uploads may have {share:,} bytes together, and {wanted:,} would be declared; use or end "
                "one of them first.",
                code="no_room_for_upload",
            )

    def _everything(self) -> list[Pending]:
        ids = [path.stem for path in self._folder.glob("*.json")]
        return [pending for pending in map(self._read, ids) if pending is not None]

    def _read(self, upload_id: str) -> Pending | None:
        try:
            return self._pending(Declared.from_json(self._info(upload_id).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError, KeyError):  # ended meanwhile, or no file of ours
            return None

    def _pending(self, declared: Declared) -> Pending:
        status = self._data(declared.id).stat()
        return Pending.of(declared, status.st_size, status.st_mtime, self._expiry)

    def _write(self, declared: Declared) -> None:
        new = self._folder / f"{declared.id}.new"
        with new.open("wb") as file:
            file.write(declared.to_json())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._info(declared.id))

    def _unlink(self, upload_id: str) -> None:
        self._info(upload_id).unlink(missing_ok=True)  # first: without it the upload is no more
        self._data(upload_id).unlink(missing_ok=True)

    def _info(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.json"

    def _data(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.data"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        # Counting and adding are one step, also among processes.
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def _may_see(owner: Principal, declared: Declared) -> bool:
    return owner.studio in {"", declared.studio}


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[FileIO]:
    with path.open("r+b", buffering=0) as file:  # what was written is in the file, and its size is the offset
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked("The upload is being written or used by another request.", code="upload_busy") from error
        yield file


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _age(path: Path) -> timedelta:
    return timedelta(seconds=utc_now().timestamp() - path.stat().st_mtime)

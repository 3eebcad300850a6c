"""Keeps a frame of a pose request now and then, where its rig allows it.

The request only copies its first frame into a file of its own, which a thread then puts into the store. Whatever goes
wrong with that is logged, and the request hears nothing of it.
"""

import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import select

from app.access.quotas import check_room
from app.artifacts import Artifacts
from app.db import Database
from app.errors import Forbidden
from app.framesets import FrameFile
from app.keeping import keep, let_go
from app.poses.engines import Fusion
from app.request_frames.repository import trim
from app.request_frames.taking import kind_of, take_first
from app.settings import Settings
from app.tables import RequestFrameRow, RigRow
from models.rig import Rig

log = structlog.get_logger(__name__)

_WAITING = 4  # frames on their way into the store; where it is too slow for more, they are not kept
_ASK_AGAIN_S = 1.0  # so soon a rig that allows nothing is asked again
_RIGS_REMEMBERED = 10_000


@dataclass(frozen=True)
class _Taken:
    """A frame in a folder of its own, and what its row will say."""

    database: Database
    folder: Path
    rig_id: str
    checkpoint_id: str | None
    frame: str
    kind: str

    @property
    def path(self) -> Path:
        return self.folder / "frame"


class Keeper:
    """Use as a context manager around the time in which requests come."""

    def __init__(self, settings: Settings, artifacts: Artifacts) -> None:
        self._folder, self._interval_s = settings.uploads_dir, settings.request_frame_interval_s
        self._artifacts = artifacts
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(_WAITING)
        self._thread = ThreadPoolExecutor(1, "request-frames")

    def __enter__(self) -> "Keeper":
        return self

    def __exit__(self, *_error: object) -> None:
        self._thread.shutdown(wait=True)

    def offer(self, database: Database, rig_id: str, source: FrameFile, rig: Rig, fusion: Fusion) -> None:
        """The frames of a request that was answered; ``database`` acts for whoever asked."""
        try:
            if self._is_due(database, rig_id) and self._room.acquire(blocking=False):
                self._take(database, rig_id, source, rig, fusion)
        except Exception as error:  # a disk that is full, a database that is away: the poses are right all the same
            log.warning("request_frame_not_kept", rig=rig_id, error=repr(error))

    def _is_due(self, database: Database, rig_id: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now < self._next.get(rig_id, now):
                return False
            if len(self._next) >= _RIGS_REMEMBERED:
                self._next.clear()
            self._next[rig_id] = now + self._interval_s
        with database.read_session() as session:
            kept = session.scalar(select(RigRow.request_frames_kept).where(RigRow.id == rig_id))
        if not kept:
            with self._lock:
                self._next[rig_id] = now + min(self._interval_s, _ASK_AGAIN_S)
        return bool(kept)

    def _take(self, database: Database, rig_id: str, source: FrameFile, rig: Rig, fusion: Fusion) -> None:
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            checkpoint = fusion.name if fusion.artifact_sha256 else None
            taken = _Taken(database, folder, rig_id, checkpoint, source.frames[0], kind_of(source))
            take_first(source, rig, taken.path)
            self._thread.submit(self._store, taken)
        except BaseException:
            self._room.release()
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def _store(self, taken: _Taken) -> None:
        try:
            sha256 = self._artifacts.put_file(taken.path)
            gone = self._write(taken, sha256)
            let_go(taken.database, self._artifacts, gone)
        except Forbidden as error:
            log.info("request_frame_not_kept", rig=taken.rig_id, error=error.message)
        except Exception as error:
            log.warning("request_frame_not_kept", rig=taken.rig_id, error=repr(error))
        finally:
            shutil.rmtree(taken.folder, ignore_errors=True)
            self._room.release()

    def _write(self, taken: _Taken, sha256: str) -> list[str]:
        """Write the row; answers the digests that nothing of this rig names any more."""
        size = taken.path.stat().st_size
        with taken.database.session() as session:
            rig = session.get(RigRow, taken.rig_id, with_for_update=True)
            if rig is None or rig.archived_at is not None or not rig.request_frames_kept:
                return [sha256]  # it was allowed a moment ago
            check_room(session, rig.studio, size)
            session.add(
                RequestFrameRow(
                    rig_id=rig.id,
                    checkpoint_id=taken.checkpoint_id,
                    frame=taken.frame,
                    kind=taken.kind,
                    source_sha256=sha256,
                    size_bytes=size,
                )
            )
            session.flush()
            keep(session, self._artifacts, {sha256: lambda: self._artifacts.put_file(taken.path)})
            return trim(session, rig.id, rig.request_frames_kept)

"""A thread beside the requests: it loads engines before they are needed, and writes down how rigs were served.

At the start it loads the pinned rigs and those used last. Then it looks, every RIGFUSE_ACTIVATION_POLL_S, which
checkpoints are active for the rigs that this process serves, and loads a new one at once: the next request finds it
ready. Requests do not depend on it; they read for themselves which checkpoint is active, and load what is missing.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.db import Database
from app.poses.engines import Engines, Fusion
from app.poses.tally import Agreement, Tally
from app.rigs.cache import RigCache
from app.settings import Settings
from app.tables import CheckpointRow, RigRow, RigServingRow

log = structlog.get_logger(__name__)

WRITE_S = 5.0
_LAST_WORK_S = 10.0


@dataclass(frozen=True)
class Active:
    """What a rig serves with."""

    rig_digest: str
    fusion: Fusion
    is_pinned: bool


class Attendant:
    """Use as a context manager around the time in which requests come."""

    def __init__(self, database: Database, rigs: RigCache, engines: Engines, settings: Settings) -> None:
        self.tally = Tally()
        self._database, self._rigs, self._engines = database, rigs, engines
        self._most, self._poll_s = settings.engine_cache, settings.activation_poll_s
        self._always = frozenset(settings.pinned_rigs)
        self._served: OrderedDict[str, None] = OrderedDict()
        self._followed: Counter[str] = Counter()
        self._active: dict[str, Active] = {}
        self._seen_at = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attendant", daemon=True)

    def __enter__(self) -> "Attendant":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(_LAST_WORK_S)
        self._tried("serving_not_written", self._write)

    def served(self, rig_id: str, fusion: Fusion, frames: int, agreement: Agreement | None) -> None:
        """A request was served with the rig's active checkpoint."""
        self.tally.note(rig_id, fusion.name if fusion.artifact_sha256 else None, frames, agreement)
        with self._lock:
            self._served[rig_id] = None
            self._served.move_to_end(rig_id)
            if len(self._served) > self._most:
                self._served.popitem(last=False)

    @contextmanager
    def following(self, rig_id: str) -> Iterator[None]:
        """Look after a rig for as long as the block lasts, such as a stream of live frames."""
        with self._lock:
            self._followed[rig_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._followed[rig_id] -= 1
                self._followed += Counter()  # drops what is zero

    def ready(self, rig_id: str, since: float) -> Fusion | None:
        """What the rig serves with, if its engine is loaded, as seen after the moment ``since`` (monotonic)."""
        active = self._active.get(rig_id) if self._seen_at > since else None
        return active.fusion if active and self._engines.has(active.rig_digest, active.fusion) else None

    def _run(self) -> None:
        self._tried("warm_up_failed", self._warm_up)
        written = time.monotonic()
        while not self._stop.wait(self._poll_s):
            self._tried("activations_not_seen", self._look)
            if time.monotonic() - written >= WRITE_S:
                self._tried("serving_not_written", self._write)
                written = time.monotonic()

    def _tried(self, event: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # such as a database that is away: the next round may do better
            log.warning(event, error=repr(error))

    def _write(self) -> None:
        with self._database.session() as session:
            self.tally.write(session)

    def _warm_up(self) -> None:
        with self._database.read_session() as session:
            chosen = _to_warm(session, self._always, self._most)
            found = _read(session, chosen)
        with self._lock:
            for rig_id in chosen:
                self._served[rig_id] = None
        self._remember(found)
        started = time.perf_counter()
        for rig_id in chosen:
            if rig_id in found and not self._stop.is_set() and (found[rig_id].is_pinned or not self._engines.is_full):
                self._load(rig_id, found[rig_id])
        if chosen:
            log.info("warmed_up", engines=len(self._engines), seconds=round(time.perf_counter() - started, 2))

    def _look(self) -> None:
        with self._lock:
            pinned = {rig_id for rig_id, active in self._active.items() if active.is_pinned}
            interesting = sorted({*self._served, *self._followed, *self._always, *pinned})
        if not interesting:
            return
        before, now = self._active, time.monotonic()
        with self._database.read_session() as session:
            found = _read(session, interesting)
        self._remember(found)
        self._seen_at = now
        for rig_id, active in found.items():
            if rig_id in before and before[rig_id].fusion != active.fusion:
                self._load(rig_id, active)

    def _remember(self, found: dict[str, Active]) -> None:
        marked = {rig_id: active for rig_id, active in found.items() if active.is_pinned or rig_id in self._always}
        self._engines.pin({(active.rig_digest, active.fusion.name) for active in marked.values()})
        self._active = found

    def _load(self, rig_id: str, active: Active) -> None:
        if self._engines.has(active.rig_digest, active.fusion):
            return
        try:
            with self._database.read_session() as session:
                rig = self._rigs.get(session.get_one(RigRow, rig_id))
            self._engines.get(rig, active.fusion)
        except Exception as error:  # requests will be told what is wrong with it
            log.warning("engine_not_loaded", rig=rig_id, checkpoint=active.fusion.name, error=repr(error))
        else:
            log.info("engine_loaded", rig=rig_id, checkpoint=active.fusion.name)


def _to_warm(session: Session, always: frozenset[str], most: int) -> list[str]:
    """The rigs to load at the start: those pinned, then those used last."""
    pinned = select(RigRow.id).join(CheckpointRow, RigRow.active_checkpoint_id == CheckpointRow.id)
    pinned = pinned.where(CheckpointRow.pinned).order_by(RigRow.id)
    latest = select(RigServingRow.rig_id).order_by(RigServingRow.last_request_at.desc()).limit(most)
    return list(dict.fromkeys([*sorted(always), *session.scalars(pinned), *session.scalars(latest)]))


def _read(session: Session, rig_ids: Sequence[str]) -> dict[str, Active]:
    """What each of these rigs serves with, in one cheap query; archived rigs serve no longer."""
    query: Select[str, str, str | None, str | None, bool | None] = (
        select(
            RigRow.id, RigRow.digest, RigRow.active_checkpoint_id, CheckpointRow.artifact_sha256, CheckpointRow.pinned
        )
        .outerjoin(CheckpointRow, RigRow.active_checkpoint_id == CheckpointRow.id)
        .where(RigRow.id.in_(rig_ids), RigRow.archived_at.is_(None))
    )
    return {
        rig_id: Active(digest, Fusion.of(checkpoint, sha256), bool(pinned))
        for rig_id, digest, checkpoint, sha256, pinned in session.execute(query)
    }

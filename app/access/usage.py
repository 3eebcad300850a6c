"""What every key uses, counted in memory and written to the database every few seconds and at the end.

Quotas look at what is written plus what this process has not written yet. So a process knows of another's frames a
flush late: by so much, and no more, the processes of a deployment together may exceed a quota. What a killed process
had not written is not counted.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Event, Lock, Thread

import structlog
from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.access.principal import Principal
from app.db import Database
from app.errors import TooManyRequests
from app.tables import ApiKeyRow, KeyUsageRow, utc_now

log = structlog.get_logger(__name__)

FLUSH_S = 5.0
LAST_USED_EVERY_S = 60.0
_OF_DATABASE = "key_"  # keys of the settings have no row
_Day = tuple[str, date]


@dataclass(frozen=True)
class Used:
    """What was used."""

    requests: int = 0
    frames: int = 0
    upload_bytes: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(self.requests + other.requests, self.frames + other.frames, self.upload_bytes + other.upload_bytes)


class Usage:
    """What the keys use in this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending: dict[_Day, Used] = {}
        self._leaving: dict[_Day, Used] = {}  # on its way to the database
        self._written: dict[_Day, tuple[int, float]] = {}  # frames of all processes, and when that was known
        self._touched: dict[str, float] = {}
        self._lock = Lock()
        self._ended = Event()
        self._thread = Thread(target=self._run, name="usage", daemon=True)

    def count(self, key_id: str, used: Used) -> None:
        """Add to what a key used today."""
        if key_id.startswith(_OF_DATABASE):
            day = (key_id, utc_now().date())
            with self._lock:
                self._pending[day] = self._pending.get(day, Used()) + used

    def take_frames(self, principal: Principal, frames: int) -> None:
        """Count frames that are about to be served; raises TooManyRequests where today's quota does not hold them."""
        allowed = principal.allowance.frames_per_day
        if allowed is None:
            self.count(principal.key_id, Used(frames=frames))
            return
        day = (principal.key_id, utc_now().date())
        used = self._known(day)
        with self._lock:  # looking and taking are one step
            pending = self._pending.get(day, Used())
            used += pending.frames + self._leaving.get(day, Used()).frames
            if used + frames <= allowed:
                self._pending[day] = pending + Used(frames=frames)
                return
        raise TooManyRequests(
            f"The key {principal.name!r} may have {allowed:,} frames a day, of which {max(0, allowed - used):,}"
            f" are left, and {frames:,} came; the day ends at midnight UTC.",
            code="quota_exceeded",
            retry_after_s=_seconds_left_today(),
        )

    def start(self) -> None:
        """Begin to write every few seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and end."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Write what was counted; where the database is away it is kept for the next time."""
        with self._lock:
            leaving, self._pending = self._pending, {}
            self._leaving = leaving
        if not leaving:
            return
        kept: dict[_Day, Used] = {}
        try:
            with self._database.session() as session:
                for (key_id, day), used in sorted(leaving.items()):
                    _add(session, key_id, day, used)
                self._touch(session, {key_id for key_id, _ in leaving})
        except Exception as error:  # whatever it is, it must not end the thread, and nothing may be lost
            log.warning("usage_not_written", error=repr(error))
            kept = leaving
        with self._lock:
            self._leaving = {}
            self._written.clear()
            for of_day, used in kept.items():
                self._pending[of_day] = self._pending.get(of_day, Used()) + used

    def _run(self) -> None:
        while not self._ended.wait(FLUSH_S):
            self.flush()

    def _known(self, day: _Day) -> int:
        frames, known_at = self._written.get(day, (0, -FLUSH_S))
        if time.monotonic() - known_at < FLUSH_S:
            return frames
        with self._database.read_session() as session:
            row = session.get(KeyUsageRow, day)
        frames = row.frames if row is not None else 0
        with self._lock:
            self._written[day] = (frames, time.monotonic())
        return frames

    def _touch(self, session: Session, key_ids: set[str]) -> None:
        now = time.monotonic()
        stale = [key for key in key_ids if now - self._touched.get(key, -LAST_USED_EVERY_S) >= LAST_USED_EVERY_S]
        if stale:
            session.execute(update(ApiKeyRow).where(ApiKeyRow.id.in_(stale)).values(last_used_at=utc_now()))
            self._touched |= dict.fromkeys(stale, now)


def _add(session: Session, key_id: str, day: date, used: Used) -> None:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    amounts: Mapping[str, int] = vars(used)
    insert = dialect.insert(KeyUsageRow).values(key_id=key_id, day=day, **amounts)
    raised = {name: getattr(KeyUsageRow, name) + insert.excluded[name] for name in amounts}
    session.execute(insert.on_conflict_do_update(index_elements=["key_id", "day"], set_=raised))


def _seconds_left_today() -> float:
    now = utc_now()
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    return (midnight - now).total_seconds()

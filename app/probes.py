"""Health of one process of this machine, for a container engine: None, or why it is not well."""

import platform
from datetime import timedelta

import httpx
from sqlalchemy import select

from app.db import Database
from app.queue import JobQueue
from app.redaction import redacted
from app.settings import Settings
from app.tables import WorkerRow
from app.workers.repository import clock

_TIMEOUT_S = 6.0
_MISSED = 3
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound


def api_fault(settings: Settings) -> str | None:
    """Why the API of this machine is not ready."""
    host = _EVERYWHERE.get(settings.host, f"[{settings.host}]" if ":" in settings.host else settings.host)
    try:
        answer = httpx.get(f"http://{host}:{settings.port}/readyz", timeout=_TIMEOUT_S, trust_env=False)
        return None if answer.is_success else str(answer.json()["detail"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return f"it does not answer: {error}"


def worker_fault(settings: Settings) -> str | None:
    """Why the worker of this machine is not well: it went silent, or cannot reach what it needs."""
    database, queue = Database(settings.database_url), JobQueue(settings.broker_url)
    try:
        queue.ping()
        return _silence(database, settings)
    except Exception as error:  # whatever a driver raises, a part does not answer
        return redacted(f"{type(error).__name__}: {error}").partition("\n")[0]
    finally:
        queue.close()
        database.dispose()


def _silence(database: Database, settings: Settings) -> str | None:
    here = (WorkerRow.host == platform.node()[:200], WorkerRow.stopped_at.is_(None))
    with database.read_session() as session:
        seen = session.scalar(select(WorkerRow.seen_at).where(*here).order_by(WorkerRow.seen_at.desc()).limit(1))
        now = clock(session)
    if seen is None:
        return "no worker of this machine has reported itself"
    silent = now - seen
    if silent > max(_MISSED * timedelta(seconds=settings.heartbeat_s), timedelta(seconds=30)):
        return f"the worker of this machine has been silent for {silent.total_seconds():.0f} s"
    return None

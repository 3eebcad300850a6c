"""What keeps a page true: its changing part, sent again over server-sent events whenever it is another than before."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from threading import Lock

from cachetools import TTLCache, cached
from fastapi import Request
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app import auth
from app.dashboard.static_files import static_files
from app.db import Database
from app.draining import Draining
from app.tables import ActivationRow, AdaptationEventRow, AuditRow, CaptureRow, RigServingRow, WorkerRow
from models.errors import RigFuseError

LOOK_EVERY_S = 0.7
KEEP_ALIVE_S = 15.0
ASK_AGAIN_S = 3.0
AT_LATEST_S = 5.0
"""A part is made anew so often even where nothing seems to have happened: what it says may depend on the time."""
REST = 15
"""After a part was made, none is made for so many times as long: many who look must not use up the cores."""
_RECONNECT_MS = 2000

Render = Callable[[Session], str]


def live(request: Request, database: Database, render: Render) -> StreamingResponse:
    """Stream what ``render`` makes of the database as its caller sees it, at first and whenever it changes.

    Its events have the digest of the scripts and styles as their id: a page that has others is loaded anew.
    The stream ends where the caller's key is no longer good, and where this process is about to: the page then
    connects again, or asks its reader to sign in.
    """
    return StreamingResponse(
        _stream(request, database, render, request.app.state.draining),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(request: Request, database: Database, render: Render, draining: Draining) -> AsyncIterator[str]:
    sent, seen, took = "", None, 0.0
    made = spoken = asked = time.monotonic()
    preface = f"retry: {_RECONNECT_MS}\nid: {static_files().digest}\n"
    while True:
        now = time.monotonic()
        if now - asked > ASK_AGAIN_S:
            asked = now
            if not await auth.is_still_good(request):
                return
        news = await run_in_threadpool(_news, request.app.state.db)
        if (news != seen and now - made >= REST * took) or now - made > AT_LATEST_S:
            seen, made = news, now
            html = await run_in_threadpool(_rendered, database, render)
            took = time.monotonic() - now
            if html is not None and html != sent:
                sent, spoken = html, now
                yield preface + _encode(html)
                preface = ""
        if now - spoken > KEEP_ALIVE_S:
            spoken = now
            yield ": still here\n\n"
        if await draining.wait(LOOK_EVERY_S):
            return


# One look serves all streams of a process. It sees no rows, only that there are new ones.
@cached(TTLCache(maxsize=8, ttl=LOOK_EVERY_S / 2), key=lambda database: database.url, lock=Lock())
def _news(database: Database) -> tuple[int | datetime | None, ...] | None:
    """What is different after nearly anything has happened; None where the database does not answer now."""
    columns = (
        AdaptationEventRow.id, ActivationRow.id, AuditRow.id, CaptureRow.created_at, RigServingRow.last_request_at,
        WorkerRow.started_at,
    )  # fmt: skip
    try:
        with database.read_session() as session:
            return tuple(session.scalar(select(func.max(column))) for column in columns)
    except SQLAlchemyError:
        return None


def _rendered(database: Database, render: Render) -> str | None:
    """The part; None where it cannot be made now, such as while the database is away."""
    try:
        with database.read_session() as session:
            return render(session)
    except (SQLAlchemyError, RigFuseError):
        return None


def _encode(html: str) -> str:
    return "event: part\n" + "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"

"""Server-sent events: what happened to an adaptation, from its table of events, until it has finished.

Every event has its row's number as id, so that a client that lost the connection goes on after the last one it saw.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from app.adaptations.states import FINISHED
from app.db import Database
from app.draining import Draining
from app.tables import AdaptationEventRow, AdaptationRow

POLL_S = 0.3
RECONNECT_MS = 1000
KEEP_ALIVE_S = 15.0
ASK_AGAIN_S = 3.0
_BATCH = 500


@dataclass(frozen=True)
class _News:
    events: tuple[AdaptationEventRow, ...]
    finished: bool


async def stream(
    database: Database, adaptation_id: str, after: int, draining: Draining, still_allowed: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """The events after the one numbered ``after``, as they come; ends after the last one of a finished adaptation.

    It ends too when this process is about to: the client comes again, and another process goes on where this one ended.
    And it ends within seconds when the client is ``still_allowed`` no longer.
    """
    spoken = asked = time.monotonic()
    preface = f"retry: {RECONNECT_MS}\n"  # with the first event: how soon a client that lost us is to come again
    while True:
        if time.monotonic() - asked > ASK_AGAIN_S:
            asked = time.monotonic()
            if not await still_allowed():
                return
        news = await run_in_threadpool(_read, database, adaptation_id, after)
        for event in news.events:
            after = event.id
            yield preface + _encode(event)
            preface = ""
        if news.events:
            spoken = time.monotonic()
        elif news.finished:
            return
        elif time.monotonic() - spoken > KEEP_ALIVE_S:
            spoken = time.monotonic()
            yield ": still here\n\n"  # a comment, which keeps proxies from closing a quiet connection
        if not news.finished and await draining.wait(POLL_S):
            return


def is_over(database: Database, adaptation_id: str, after: int) -> bool:
    """Whether nothing follows the event numbered ``after``."""
    news = _read(database, adaptation_id, after)
    return news.finished and not news.events


def _read(database: Database, adaptation_id: str, after: int) -> _News:
    with database.read_session() as session:
        # The state first: a final state read before the events means that the events are all there.
        state = session.execute(select(AdaptationRow.state).where(AdaptationRow.id == adaptation_id)).scalar_one()
        query = (
            select(AdaptationEventRow)
            .where(AdaptationEventRow.adaptation_id == adaptation_id, AdaptationEventRow.id > after)
            .order_by(AdaptationEventRow.id)
            .limit(_BATCH)
        )
        return _News(tuple(session.scalars(query)), state in FINISHED)


def _encode(event: AdaptationEventRow) -> str:
    data = json.dumps({**event.data, "at": event.created_at.isoformat()}, separators=(",", ":"))
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n"

"""People who signed in with a key: a random cookie stands for the key, so that no page and no script ever holds it.

Whoever signed in may do exactly what the key may, for as long as it may: each request looks the key up anew. A browser
sends the cookie along whichever page made it ask, so what changes something must come from a page of ours
(``check_same_origin``).
"""

import secrets
from datetime import timedelta
from threading import Lock

from cachetools import TTLCache
from sqlalchemy import delete
from starlette.requests import HTTPConnection
from starlette.responses import Response

from app.access.keyring import REMEMBERED_S
from app.access.keys import digest
from app.db import Database
from app.errors import Forbidden
from app.tables import BrowserSessionRow, utc_now

COOKIE = "rigfuse_session"
_MOST_REMEMBERED = 4096
_SAFE = {"GET", "HEAD", "OPTIONS"}


class BrowserSessions:
    """Who is signed in, in the database, so that every API process knows; remembered for two seconds."""

    def __init__(self, database: Database, lifetime_s: float) -> None:
        self._database = database
        self._lifetime_s = lifetime_s
        self._remembered: TTLCache[str, str] = TTLCache(_MOST_REMEMBERED, REMEMBERED_S)
        self._lock = Lock()

    def begin(self, key: str) -> str:
        """Sign the holder of ``key``, which is good, in; the cookie's value."""
        token, now = secrets.token_urlsafe(32), utc_now()
        with self._database.session() as session:
            session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.expires_at <= now))
            session.add(
                BrowserSessionRow(
                    sha256=digest(token),
                    key_sha256=digest(key),
                    created_at=now,
                    expires_at=now + timedelta(seconds=self._lifetime_s),
                )
            )
        return token

    def key_of(self, token: str) -> str | None:
        """The SHA-256 of the key that was signed in with; None where nobody is, or no longer."""
        sha256 = digest(token)
        with self._lock:
            known = self._remembered.get(sha256)
        return known or self._look_up(sha256)

    def end(self, token: str) -> None:
        """Sign out; other processes notice within two seconds."""
        sha256 = digest(token)
        with self._database.session() as session:
            session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.sha256 == sha256))
        with self._lock:
            self._remembered.pop(sha256, None)

    def give(self, response: Response, token: str, *, secure: bool) -> None:
        """Have the browser keep the cookie; ``secure`` where it came over TLS."""
        age = int(self._lifetime_s)
        response.set_cookie(COOKIE, token, max_age=age, secure=secure, httponly=True, samesite="lax")

    def _look_up(self, sha256: str) -> str | None:
        with self._database.read_session() as session:
            row = session.get(BrowserSessionRow, sha256)
        if row is None or row.expires_at <= utc_now():
            return None
        with self._lock:
            self._remembered[sha256] = row.key_sha256
        return row.key_sha256


def check_same_origin(connection: HTTPConnection) -> None:
    """Raise Forbidden where something would change, or a WebSocket open, that no page of ours asked for.

    Every browser says so since 2023 (``Sec-Fetch-Site``), older ones by ``Origin``; who says neither is no browser, and
    sends a key instead of a cookie.
    """
    if connection.scope.get("method") in _SAFE:
        return
    site, origin = connection.headers.get("sec-fetch-site"), connection.headers.get("origin", "")
    ours = site == "same-origin" if site else origin.partition("://")[2] == connection.headers.get("host", "")
    if not ours:
        raise Forbidden("Whoever is signed in acts from the service's own pages only.", at="header.origin")

"""Whose key it is that came: the keys of the settings, and those of the database, remembered for two seconds."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

import structlog
from cachetools import TTLCache
from sqlalchemy import select

from app.access.keys import PREFIX, digest
from app.access.principal import ENVIRONMENT, Allowance, Principal, Scope
from app.db import Database
from app.errors import MisconfiguredService
from app.settings import Settings
from app.tables import ApiKeyRow, utc_now

log = structlog.get_logger(__name__)

MIN_KEY_LENGTH = 16
REMEMBERED_S = 2.0
"""How long a verified key is trusted without asking the database, and so how long a revoked one may live elsewhere."""
_MOST_REMEMBERED = 4096


@dataclass(frozen=True)
class _Known:
    principal: Principal
    expires_at: datetime | None

    @property
    def holds(self) -> bool:
        return self.expires_at is None or self.expires_at > utc_now()


class KeyRing:
    """The keys of a deployment, kept only as hashes; raises MisconfiguredService where one of the settings is weak."""

    def __init__(self, settings: Settings, database: Database) -> None:
        keys = [key.get_secret_value() for key in settings.api_keys]
        if any(len(key) < MIN_KEY_LENGTH for key in keys):
            raise MisconfiguredService(
                f"Every API key needs at least {MIN_KEY_LENGTH} characters.", at="RIGFUSE_API_KEYS"
            )
        self._environment = tuple(digest(key) for key in keys)
        self._database = database
        self._remembered: TTLCache[str, _Known] = TTLCache(_MOST_REMEMBERED, REMEMBERED_S)
        self._lock = Lock()
        self._where = f"{settings.environment} on {settings.host}"
        self.required = bool(keys) or not (settings.environment == "embedded" and settings.is_loopback)

    def check_start(self) -> None:
        """Say so where nobody needs a key; raise MisconfiguredService where nobody has one that can make others."""
        if not self.required:
            why = "Anyone on this machine may use the service; set RIGFUSE_API_KEYS to change it."
            log.warning("no_api_keys", detail=why)
        elif not self._environment and not self._stored_admins():
            raise MisconfiguredService(
                "Set RIGFUSE_API_KEYS, or make a key with `rigfuse admin create-key`: only the embedded service on a "
                f"loopback address may run without keys (this one is {self._where}).",
                at="RIGFUSE_API_KEYS",
            )

    def identify(self, key: str) -> Principal | None:
        """The holder of ``key``; None where it is not ours, has expired or was revoked."""
        given = digest(key)
        if key.startswith(PREFIX):
            return self.holder_of(given)
        return ENVIRONMENT if self._is_of_settings(given) else None

    def holder_of(self, given: str) -> Principal | None:
        """The holder of the key with the digest ``given``; None where it is not ours, has expired or was revoked."""
        if self._is_of_settings(given):
            return ENVIRONMENT
        known = self._recall(given) or self._look_up(given)
        return known.principal if known is not None and known.holds else None

    def forget(self) -> None:
        """Ask the database again for every key: one was revoked here."""
        with self._lock:
            self._remembered.clear()

    def _is_of_settings(self, given: str) -> bool:
        # All are compared, each in a time that does not tell how near it was.
        return any([hmac.compare_digest(given, known) for known in self._environment])  # noqa: C419

    def _stored_admins(self) -> bool:
        now = utc_now()
        with self._database.read_session() as session:
            rows = session.scalars(select(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None)))
            return any(Scope.ADMIN in row.scopes and (row.expires_at is None or row.expires_at > now) for row in rows)

    def _recall(self, given: str) -> _Known | None:
        with self._lock:
            return self._remembered.get(given)

    def _look_up(self, given: str) -> _Known | None:
        # Found by its hash, of which a client who does not know the key can choose no part: the time tells nothing.
        with self._database.read_session() as session:
            row = session.scalars(select(ApiKeyRow).where(ApiKeyRow.sha256 == given)).one_or_none()
        if row is None or row.revoked_at is not None or not hmac.compare_digest(row.sha256, given):
            return None
        known = _Known(holder(row), row.expires_at)
        with self._lock:
            self._remembered[given] = known
        return known


def holder(row: ApiKeyRow) -> Principal:
    """Who the holder of a stored key is."""
    scopes = frozenset(Scope(scope) for scope in row.scopes)
    allowance = Allowance(row.requests_per_minute, row.frames_per_day, row.stored_bytes)
    return Principal(row.id, row.name, scopes, row.studio, allowance)

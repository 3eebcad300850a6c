"""Making and revoking keys; the caller's edge commits."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app import audit
from app.access import keys, repository
from app.access.principal import acting
from app.access.schemas import KeyIn
from app.access.tenancy import studio_of_new
from app.errors import Forbidden
from app.tables import ApiKeyRow, new_id, utc_now

_BOUNDS = ("expires_at", "requests_per_minute", "frames_per_day", "stored_bytes")


def create_key(session: Session, wanted: KeyIn) -> tuple[ApiKeyRow, str]:
    """Make a key; the key itself is answered here, and nowhere again.

    Whoever administrates may give any scope, but only to keys of the own studio, and no key outlives or outdoes the
    one that makes it; raises Forbidden.
    """
    bounds = _bounds(session, wanted)
    secret = keys.new_key()
    row = ApiKeyRow(
        id=new_id("key"),
        name=wanted.name,
        studio=studio_of_new(session, wanted.studio),
        scopes=sorted({scope.value for scope in wanted.scopes}),
        sha256=keys.digest(secret),
        hint=secret[: keys.HINT_LENGTH],
        created_by=acting(session).key_id,
        created_at=utc_now(),
        **bounds,
    )
    session.add(row)
    session.flush()
    audit.record(session, "key.created", row.id, name=row.name, scopes=row.scopes)
    return row, secret


def revoke(session: Session, key_id: str) -> None:
    """End a key for good; its row stays, for the trail. Doing it twice is no error."""
    row = repository.get_key(session, key_id)
    if row.revoked_at is None:
        row.revoked_at = utc_now()
        audit.record(session, "key.revoked", row.id, name=row.name)


def _bounds(session: Session, wanted: KeyIn) -> dict[str, Any]:
    """What bounds a new key: what is asked for, within what bounds its maker; raises Forbidden for more."""
    maker = session.get(ApiKeyRow, acting(session).key_id)  # none where it is no key of the database
    bounds: dict[str, Any] = {}
    for name in _BOUNDS:
        asked, most = getattr(wanted, name), getattr(maker, name, None)
        if asked is not None and most is not None and asked > most:
            told = most.isoformat() if isinstance(most, datetime) else f"{most:,}"
            raise Forbidden(f"Your own key has {name} {told}, and no key that it makes may have more.", at=name)
        bounds[name] = most if asked is None else asked
    return bounds

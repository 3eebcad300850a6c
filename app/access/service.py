"""Making and revoking keys; the caller's edge commits."""

from sqlalchemy.orm import Session

from app import audit
from app.access import keys, repository
from app.access.principal import acting
from app.access.schemas import KeyIn
from app.access.tenancy import studio_of_new
from app.tables import ApiKeyRow, new_id, utc_now


def create_key(session: Session, wanted: KeyIn) -> tuple[ApiKeyRow, str]:
    """Make a key; the key itself is answered here, and nowhere again.

    Whoever administrates may give any scope, but only to keys of the own studio; raises Forbidden.
    """
    secret = keys.new_key()
    row = ApiKeyRow(
        id=new_id("key"),
        name=wanted.name,
        studio=studio_of_new(session, wanted.studio),
        scopes=sorted({scope.value for scope in wanted.scopes}),
        sha256=keys.digest(secret),
        hint=secret[: keys.HINT_LENGTH],
        requests_per_minute=wanted.requests_per_minute,
        frames_per_day=wanted.frames_per_day,
        stored_bytes=wanted.stored_bytes,
        created_by=acting(session).key_id,
        created_at=utc_now(),
        expires_at=wanted.expires_at,
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

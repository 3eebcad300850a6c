"""How much the captures of a studio may take, for the key that adds to them."""

from sqlalchemy.orm import Session

from app.access.principal import acting
from app.access.repository import stored_bytes
from app.errors import Forbidden


def check_room(session: Session, studio: str, size_bytes: int | None = None) -> None:
    """Raise Forbidden where the caller's key may not bring its studio's captures beyond its quota.

    Without a size, which is not known before a capture was read, where there is no room for any.

    Captures that are sealed at the same moment do not see each other yet: by those a quota may be exceeded.
    """
    allowed = acting(session).allowance.stored_bytes
    if allowed is None:
        return
    used = stored_bytes(session, studio)
    if used + (1 if size_bytes is None else size_bytes) > allowed:
        told = "" if size_bytes is None else f"; this one takes {size_bytes:,}"
        raise Forbidden(
            f"Captures may take {allowed:,} bytes, of which {max(0, allowed - used):,} are left{told}. "
            "Purge captures that are no longer needed.",
            code="quota_exceeded",
        )

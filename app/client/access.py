"""Access: keys, and the audit trail; all of it needs a key with the scope ``admin``."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from app.access.schemas import AuditEntry, Key, KeyDetail, KeyMade
from app.asking import segment
from app.client.calls import Calls, without_none


class Access(Calls):
    """Who may do what, and who did."""

    def create_key(
        self,
        name: str,
        scopes: Sequence[str] = ("read", "write"),
        *,
        studio: str = "",
        expires_at: datetime | None = None,
        requests_per_minute: int | None = None,
        frames_per_day: int | None = None,
        stored_bytes: int | None = None,
    ) -> KeyMade:
        """Make a key; ``key`` in the answer is shown this once only. What is not given is bounded as your key is."""
        bounds = without_none(
            expires_at=None if expires_at is None else expires_at.isoformat(),
            requests_per_minute=requests_per_minute,
            frames_per_day=frames_per_day,
            stored_bytes=stored_bytes,
        )
        body = {"name": name, "scopes": list(scopes), "studio": studio, **bounds}
        return self._ask(KeyMade, "POST", "/v1/keys", json=body)

    def key(self, key_id: str) -> KeyDetail:
        """A key, and what it used of late."""
        return self._ask(KeyDetail, "GET", f"/v1/keys/{segment(key_id)}")

    def keys(self) -> Iterator[Key]:
        """All keys, those revoked among them; the newest first."""
        return self._list(Key, "/v1/keys")

    def revoke_key(self, key_id: str) -> None:
        """From now on the key opens nothing."""
        self._transport.request("DELETE", f"/v1/keys/{segment(key_id)}")

    def audit(self, *, subject: str | None = None, action: str | None = None) -> Iterator[AuditEntry]:
        """Who did what, the newest first."""
        return self._list(AuditEntry, "/v1/audit", subject=subject, action=action)

"""What is known of a resumable upload: what was declared at its beginning, and how far it is."""

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from app.tables.base import utc_now

UNBEGUN = timedelta(minutes=15)
"""So long an upload holds its room of which no byte has come."""
_ID = re.compile(r"upl_[0-9a-f]{24}")


def is_upload_id(text: str) -> bool:
    """Whether ``text`` may be an upload's id; nothing else ever becomes part of a path."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Declared:
    """What was said when an upload began; ``verified`` once all of it came and its SHA-256 was right."""

    id: str
    studio: str
    key_id: str
    length: int
    sha256: str | None
    metadata: str
    created_at: datetime
    verified: bool = False

    def to_json(self) -> bytes:
        """As it lies beside the bytes."""
        return json.dumps(asdict(self) | {"created_at": self.created_at.isoformat()}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Declared":
        """Read what to_json wrote."""
        values = json.loads(data)
        return cls(**(values | {"created_at": datetime.fromisoformat(values["created_at"])}))


@dataclass(frozen=True)
class Pending:
    """An upload as it stands: ``offset`` bytes have come, and it is removed at ``expires_at`` unless more do."""

    declared: Declared
    offset: int
    expires_at: datetime

    @classmethod
    def of(cls, declared: Declared, size: int, modified: float, expiry: timedelta) -> "Pending":
        """From the file's size and the time of its last change."""
        kept = expiry if size else min(expiry, UNBEGUN)
        # Whole seconds, as the header can tell no finer.
        return cls(declared, size, datetime.fromtimestamp(int(modified), UTC) + kept)

    @property
    def id(self) -> str:
        """The upload's id."""
        return self.declared.id

    @property
    def is_complete(self) -> bool:
        """Whether all of it has come."""
        return self.offset == self.declared.length

    @property
    def is_over(self) -> bool:
        """Whether its time has run out."""
        return utc_now() > self.expires_at

"""Which artifact store a process writes to, so that two of them can be seen to write to the same."""

import hashlib
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.settings import Settings

_FILE = "store-id"


def store_identity(settings: Settings) -> str:
    """A name that all processes with the same store have in common; a local store keeps its own in a file."""
    parts = urlsplit(settings.artifacts_url)
    if parts.scheme != "file":
        named = f"{settings.artifacts_endpoint}|{settings.artifacts_url}"
        return hashlib.sha256(named.encode()).hexdigest()[:32]
    path = Path(unquote(parts.path)) / _FILE
    try:
        with path.open("x") as handle:
            handle.write(secrets.token_hex(16))
    except FileExistsError:
        pass
    return path.read_text().strip()[:64]

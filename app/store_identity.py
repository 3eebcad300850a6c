"""Which artifact store a process writes to, so that two can be seen to write to the same, and one that is away is told.

A local store keeps its name in a file. Only a process that starts makes it: one that runs and finds it gone, or
another, sees that the directory is not the store, such as the bare mount point of a disk that was dropped.
"""

import contextlib
import hashlib
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.settings import Settings

_FILE = "store-id"


def store_identity(settings: Settings) -> str:
    """A name that all processes with the same store have in common; empty for a local one that is not there."""
    parts = urlsplit(settings.artifacts_url)
    if parts.scheme == "file":
        return identity_of(Path(unquote(parts.path)))
    named = f"{settings.artifacts_endpoint}|{settings.artifacts_url}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def identity_of(root: Path) -> str:
    """The name of the store in this directory; empty where there is none."""
    try:
        return (root / _FILE).read_text().strip()[:64]
    except OSError:
        return ""


def named(root: Path) -> str:
    """The name of the store in this directory, which is made and named where it is not; for a process that starts."""
    path = root / _FILE
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        mine = path.with_suffix(f".{secrets.token_hex(8)}")
        mine.write_text(secrets.token_hex(16))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(mine)  # whole or not at all, and only the first does it
        mine.unlink()
    return identity_of(root)

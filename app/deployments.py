"""Whether there is a deployment where the settings look for one: SQLite makes an empty database of a wrong name."""

from pathlib import Path

from sqlalchemy import make_url

from app.settings import Settings


def is_there(settings: Settings) -> bool:
    """Whether the database's file exists; a server tells itself what it holds."""
    url = make_url(settings.database_url)
    return url.get_backend_name() != "sqlite" or not url.database or Path(url.database).is_file()

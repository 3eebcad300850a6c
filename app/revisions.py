"""Which revision the database's schema has, and whether this program can work with it."""

from functools import cache
from importlib.resources import as_file, files

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app.db import Database
from app.errors import MisconfiguredService


@cache
def known_revisions() -> tuple[str, ...]:
    """The revisions that this program knows, the newest first."""
    with as_file(files("migrations")) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        return tuple(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())


def revision_of(database: Database) -> str | None:
    """The database's revision; None where nothing was ever migrated."""
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def check_schema(database: Database) -> None:
    """Raise MisconfiguredService where the schema is older than this program.

    One that it does not know is of a newer release, which is about to take over; the old one serves until then.
    """
    found, (newest, *older) = revision_of(database), known_revisions()
    if found is None or found in older:
        raise MisconfiguredService(
            f"The database's schema is {found or 'empty'} and has to be {newest}: run rigfuse migrate.",
            at="RIGFUSE_DATABASE_URL",
        )

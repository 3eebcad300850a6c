"""``rigfuse admin``: what an operator does on the machine itself, in the database, without a running service."""
# ruff: noqa: PLC0415 - imported when a command runs, so that the others and --help start fast

from datetime import timedelta
from typing import Annotated

import typer

from app.access.principal import Scope

admin = typer.Typer(no_args_is_help=True, help="Administrate on the machine itself, without a running service.")


@admin.callback()
def _group() -> None:
    """Administrate on the machine itself, without a running service."""


@admin.command("create-key")
def create_key(
    name: Annotated[str, typer.Option(help="Who or what it is for.")] = "first administrator",
    scope: Annotated[list[Scope] | None, typer.Option(help="May be given several times; all where it is not.")] = None,
    studio: Annotated[str, typer.Option(help="Whose rigs it sees; all where it is not given.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="Days until it expires.")] = None,
) -> None:
    """Make an API key in the database of the RIGFUSE_… environment, and print it: once, for nobody can read it again.

    The key goes to the standard output, alone, and what is said about it to the standard error.
    """
    from pydantic import ValidationError

    from app.access import service
    from app.access.schemas import KeyIn
    from app.db import Database
    from app.settings import Settings
    from app.tables import utc_now

    expires_at = utc_now() + timedelta(days=days) if days is not None else None
    try:
        wanted = KeyIn(name=name, scopes=scope or list(Scope), studio=studio, expires_at=expires_at)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        raise typer.BadParameter(f"{fault['loc'][0]}: {fault['msg']}") from error
    database = Database(Settings().database_url)
    database.upgrade()
    with database.session() as session:
        row, key = service.create_key(session, wanted)
    typer.echo(f"{row.id}, {row.name}: {', '.join(row.scopes)}{f', studio {studio}' if studio else ''}", err=True)
    typer.echo(key)

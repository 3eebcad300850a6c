"""The commands of ``rigfuse`` for who operates a deployment: looking it over, its health, backup and restore."""
# ruff: noqa: PLC0415 - a command imports what it alone needs, so that the others and --help start fast

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

PANEL = "Operate the service"
BROKER_FILE = "broker-url"
"""Where `rigfuse up` notes its broker's address in its data directory, for its owner's eyes."""
health = typer.Typer(no_args_is_help=True, help="Is a process of this machine well? For health checks: exit 0 or 1.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the backup.")]
DataDir = Annotated[Path | None, typer.Option(help="The data directory of a `rigfuse up`.")]


def install(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(rich_help_panel=PANEL)(doctor)
    app.add_typer(health, name="health", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(backup)
    app.command(rich_help_panel=PANEL)(restore)


def doctor(
    *,
    data_dir: Annotated[Path | None, typer.Option(help="Look over the `rigfuse up` of this directory.")] = None,
    url: Annotated[str | None, typer.Option(envvar="RIGFUSE_URL", help="Where the API should answer.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="RIGFUSE_API_KEY", help="Key for the API.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Verify the bytes of every artifact.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Look over the deployment that the RIGFUSE_… environment describes, and say what is wrong and what to do.

    With `--data-dir`, the service that `rigfuse up` runs there.

    The exit status is 0 where it works and 1 where something does not.
    """
    from rich.console import Console

    from app.doctor import examine

    _look_in(data_dir)
    with _quiet():
        findings = list(examine.examine(deep=deep, url=url, api_key=api_key))
    if as_json:
        typer.echo(examine.as_json(findings))
    else:
        examine.show(findings, Console())
    raise typer.Exit(0 if examine.healthy(findings) else 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """No log in the block: the table tells it."""
    import logging

    import structlog

    before = structlog.get_config() if structlog.is_configured() else None
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults() if before is None else structlog.configure(**before)
        logging.disable(level)


def _look_in(data_dir: Path | None) -> None:
    """Have the settings describe the `rigfuse up` of this directory."""
    if data_dir is not None:
        os.environ |= _embedded(data_dir)


def _embedded(data_dir: Path) -> dict[str, str]:
    """What `rigfuse up` gives its processes."""
    given = {"RIGFUSE_ENVIRONMENT": "embedded", "RIGFUSE_DATA_DIR": str(data_dir)}
    noted = data_dir / BROKER_FILE
    if "RIGFUSE_BROKER_URL" not in os.environ and noted.is_file():
        given["RIGFUSE_BROKER_URL"] = noted.read_text()
    return given


@health.command("api")
def health_of_api() -> None:
    """Whether the API of this machine is ready, on RIGFUSE_HOST and RIGFUSE_PORT."""
    from app.probes import api_fault
    from app.settings import Settings

    _tell(api_fault(Settings()))


@health.command("worker")
def health_of_worker() -> None:
    """Whether a worker of this machine reported itself lately, and database and broker answer it."""
    from app.probes import worker_fault
    from app.settings import Settings

    _tell(worker_fault(Settings()))


def backup(
    folder: Folder,
    *,
    data_dir: DataDir = None,
    verify: Annotated[bool, typer.Option(help="Read everything again afterwards.")] = True,
) -> None:
    """Copy the database and the artifacts, while the service runs, into a folder that a restore can be made of."""
    from app.backup import back_up
    from app.settings import Settings

    _look_in(data_dir)
    typer.echo(back_up(Settings(), folder, verify=verify))


def restore(folder: Folder, *, data_dir: DataDir = None) -> None:
    """Put a backup into the empty database and artifact store that the RIGFUSE_… environment names."""
    from app.backup import restore_from
    from app.settings import Settings

    _look_in(data_dir)
    typer.echo(restore_from(Settings(), folder))


def _tell(fault: str | None) -> None:
    typer.echo(fault or "well")
    raise typer.Exit(1 if fault else 0)

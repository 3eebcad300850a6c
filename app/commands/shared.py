"""What all commands share: how a service is named, and how answers are shown to a person or told to a script.

Results go to the standard output, progress and remarks to the standard error. Identifiers come first and alone in their
line, so that ``rig=$(rigfuse rig add rig.json)`` works; ``--json`` prints whole answers.
"""
# ruff: noqa: PLC0415 - the client and its libraries are imported when a command runs, so that --help starts fast

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from models.errors import InvalidInput

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.progress import Progress

    from app.client import RigFuseClient

DEFAULT_URL = "http://127.0.0.1:8000"
_PIPE_COLUMNS = 240  # nothing is wrapped where a program reads

Url = Annotated[str, typer.Option(envvar="RIGFUSE_URL", help="Where the service is.")]
ApiKey = Annotated[str | None, typer.Option(envvar="RIGFUSE_API_KEY", help="Key for the service.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON, for scripts.")]
RigId = Annotated[str, typer.Argument(metavar="RIG", help="Id of a rig.")]
CheckpointId = Annotated[str, typer.Argument(metavar="CHECKPOINT", help="Id of a checkpoint.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the rig's history.")]
Sure = Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")]
File = typer.Option(exists=True, dir_okay=False, readable=True)
Model = TypeVar("Model", bound="BaseModel")


@contextmanager
def connected(url: str, api_key: str | None) -> Iterator["RigFuseClient"]:
    """A client of the service."""
    from app.client import RigFuseClient

    with RigFuseClient(url, api_key) as client:
        yield client


def say(text: str) -> None:
    """A result, on the standard output."""
    typer.echo(text)


def remark(text: str, *, bad: bool = False) -> None:
    """What a person may want to know besides, on the standard error."""
    typer.secho(text, fg="red" if bad else "yellow", err=True)


def show(answer: "BaseModel", text: str, *, as_json: bool) -> None:
    """One answer: its ``text``, or all of it."""
    say(json.dumps(answer.model_dump(mode="json"), indent=2) if as_json else text)


def show_list(answers: Iterable[Model], columns: Mapping[str, Callable[[Model], str]], *, as_json: bool) -> None:
    """Many answers: a table of ``columns``, or all of them."""
    rows = list(answers)
    if as_json:
        say(json.dumps([row.model_dump(mode="json") for row in rows], indent=2))
        return
    from rich.table import Table

    table = Table()
    for number, title in enumerate(columns):
        table.add_column(title, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(cell(row) for cell in columns.values()))
    _console(err=False).print(table)


def bar(*columns: Any) -> "Progress":
    """A progress bar on the standard error, which shows only on a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn

    console = _console(err=True)
    shown = (TextColumn("{task.description}"), BarColumn(), *columns)
    return Progress(*shown, console=console, disable=not console.is_terminal)


def confirm(question: str, *, sure: bool) -> None:
    """Ask before what cannot be undone, unless ``sure``."""
    if not sure:
        typer.confirm(question, abort=True, err=True)


def short(moment: datetime | None) -> str:
    """A time for a table."""
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def size(count: int | None) -> str:
    """Bytes for a person."""
    if count is None:
        return "–"
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def check_one(frames: Path | None, heatmaps: Path | None) -> None:
    """Refuse neither and both."""
    if (frames is None) == (heatmaps is None):
        raise typer.BadParameter("give exactly one of --frames and --heatmaps")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    return parse_json(path.read_bytes(), str(path))


def parse_json(text: str | bytes, what: str) -> dict[str, Any]:
    """A JSON object; raises InvalidInput."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} must be a JSON object.")
    return value


def _console(*, err: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    # Names come from whoever registered them: nothing in them is markup.
    return Console(
        stderr=err, markup=False, emoji=False, highlight=False, width=None if stream.isatty() else _PIPE_COLUMNS
    )

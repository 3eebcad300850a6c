"""``rigfuse rig``: register rigs, look at them, and say which checkpoint they serve with."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared import (
    DEFAULT_URL,
    ApiKey,
    AsJson,
    Reason,
    RigId,
    Url,
    connected,
    read_json,
    short,
    show,
    show_list,
)

commands = typer.Typer(no_args_is_help=True, help="Register rigs and look at them.")


@commands.command("add")
def add(
    rig: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON file as in POST /v1/rigs.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Register a rig and print its id."""
    with connected(url, api_key) as client:
        added = client.register_rig(read_json(rig))
    show(added, added.id, as_json=as_json)


@commands.command("list")
def list_all(
    archived: Annotated[bool, typer.Option("--archived", help="Those archived instead.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """List all rigs."""
    with connected(url, api_key) as client:
        show_list(
            client.rigs(archived=archived),
            {
                "rig": lambda rig: rig.id,
                "name": lambda rig: rig.name,
                "cameras": lambda rig: str(len(rig.cameras)),
                "joints": lambda rig: rig.joints,
                "status": lambda rig: rig.status,
                "active checkpoint": lambda rig: rig.active_checkpoint or "–",
            },
            as_json=as_json,
        )


@commands.command("show")
def show_one(rig: RigId, as_json: AsJson = True, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print a rig as JSON, each camera with its view."""
    with connected(url, api_key) as client:
        answer = client.rig(rig)
    show(answer, answer.id, as_json=as_json)


@commands.command("archive")
def archive(rig: RigId, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Archive a rig: it stays readable, but serves no longer."""
    with connected(url, api_key) as client:
        client.archive_rig(rig)
    typer.echo(f"The rig {rig} is archived.")


@commands.command("rollback")
def roll_back(
    rig: RigId, reason: Reason = None, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None
) -> None:
    """Serve a rig with the checkpoint that was active before."""
    with connected(url, api_key) as client:
        after = client.roll_back(rig, reason)
    text = f"{after.rolled_back} no longer serves; active is {after.active_checkpoint or 'no checkpoint'}."
    show(after, text, as_json=as_json)


@commands.command("history")
def history(rig: RigId, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """What a rig served with, since when and why; the newest first."""
    with connected(url, api_key) as client:
        show_list(
            client.activations(rig),
            {
                "checkpoint": lambda row: row.checkpoint or "no fusion",
                "since": lambda row: short(row.at),
                "by": lambda row: f"{row.action} ({row.actor})" if row.actor else row.action,
                "why": lambda row: row.reason,
            },
            as_json=as_json,
        )

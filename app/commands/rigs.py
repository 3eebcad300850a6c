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
    short,
    show,
    show_list,
)

Calibration = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A calibration, see docs/client.md.")]

commands = typer.Typer(no_args_is_help=True, help="Register rigs and look at them.")


@commands.command("add")
def add(
    rig: Calibration,
    *,
    name: Annotated[str | None, typer.Option(help="Its name; by default the file's, or what the file says.")] = None,
    joints: Annotated[str | None, typer.Option(help="The skeleton; by default coco17, or what the file says.")] = None,
    units: Annotated[str | None, typer.Option(help="m, cm or mm, where the file does not say.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Register a rig, of JSON as in POST /v1/rigs or a calibration of another tool, and print its id."""
    from app.commands.calibrations import rig_document  # noqa: PLC0415 - see shared

    document = rig_document(rig, name=name, joints=joints, units=units)
    with connected(url, api_key) as client:
        added = client.register_rig(document)
    show(added, added.id, as_json=as_json)


@commands.command("check")
def check(
    rig: Calibration,
    units: Annotated[str | None, typer.Option(help="m, cm or mm, where the file does not say.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what looks wrong with a calibration, with no service; ends with 1 where it would be refused."""
    from app.commands.calibrations import examined, lines  # noqa: PLC0415 - see shared

    answer = examined(rig, units)
    show(answer, "\n".join(lines(answer)), as_json=as_json)
    raise typer.Exit(1 if answer.refused else 0)


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

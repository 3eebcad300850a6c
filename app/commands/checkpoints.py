"""``rigfuse checkpoints``: what adaptations made, and which one a rig serves with."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared import (
    DEFAULT_URL,
    ApiKey,
    AsJson,
    CheckpointId,
    Reason,
    RigId,
    Sure,
    Url,
    confirm,
    connected,
    say,
    short,
    show,
    show_list,
)

commands = typer.Typer(no_args_is_help=True, help="What adaptations made, and which one a rig serves with.")


@commands.command("list")
def list_of_rig(rig: RigId, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List the checkpoints of a rig."""
    with connected(url, api_key) as client:
        show_list(
            client.checkpoints(rig),
            {
                "checkpoint": lambda row: row.id,
                "made": lambda row: short(row.created_at),
                "method": lambda row: row.method,
                "seed": lambda row: str(row.seed),
                "active": lambda row: "yes" if row.active else "",
                "pinned": lambda row: "yes" if row.pinned else "",
                "promoted": lambda row: "yes" if row.promoted else "no",
                "why": lambda row: row.reason if row.purged_at is None else f"deleted {short(row.purged_at)}",
            },
            as_json=as_json,
        )


@commands.command("show")
def show_one(checkpoint: CheckpointId, as_json: AsJson = True, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print a checkpoint as JSON, with where it comes from and what was measured."""
    with connected(url, api_key) as client:
        answer = client.checkpoint(checkpoint)
    show(answer, answer.id, as_json=as_json)


@commands.command("activate")
def activate(
    checkpoint: CheckpointId,
    reason: Reason = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Serve a checkpoint's rig with it."""
    with connected(url, api_key) as client:
        row = client.activate(checkpoint, reason)
    show(row, f"The rig {row.rig} now serves with {row.id}.", as_json=as_json)


@commands.command("pin")
def pin(checkpoint: CheckpointId, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Keep a checkpoint, whatever the retention policy says."""
    with connected(url, api_key) as client:
        row = client.pin(checkpoint)
    show(row, f"{row.id} is kept.", as_json=as_json)


@commands.command("unpin")
def unpin(checkpoint: CheckpointId, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Leave a checkpoint to the retention policy."""
    with connected(url, api_key) as client:
        row = client.unpin(checkpoint)
    show(row, f"{row.id} is left to the retention policy.", as_json=as_json)


@commands.command("download")
def download(
    checkpoint: CheckpointId,
    output: Annotated[Path, typer.Argument(help="Where the safetensors file goes.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Write a checkpoint's safetensors file to OUTPUT."""
    with connected(url, api_key) as client:
        say(str(client.download_checkpoint(checkpoint, output)))


@commands.command("delete")
def delete(
    checkpoint: CheckpointId,
    sure: Sure = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Delete a checkpoint's bytes for good (scope admin); not while it is active or pinned."""
    confirm(f"Delete the checkpoint {checkpoint} for good?", sure=sure)
    with connected(url, api_key) as client:
        row = client.delete_checkpoint(checkpoint)
    show(row, f"{row.id} is deleted.", as_json=as_json)

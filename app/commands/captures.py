"""``rigfuse capture``: upload labelled frames, look at captures, delete them."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared import (
    DEFAULT_URL,
    ApiKey,
    AsJson,
    File,
    RigId,
    Sure,
    Url,
    bar,
    check_one,
    confirm,
    connected,
    remark,
    short,
    show,
    show_list,
)

commands = typer.Typer(no_args_is_help=True, help="Upload labelled frames.")


@commands.command("upload")
def upload(
    rig: RigId,
    *,
    labels: Annotated[Path, File],
    frames: Annotated[Path | None, File] = None,
    heatmaps: Annotated[Path | None, File] = None,
    resumable: Annotated[
        bool | None, typer.Option(help="Go on after a break; by default for files of 16 MiB and more.")
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Upload labels (JSON) with a zip of images (`--frames`) or an npz of heatmaps (`--heatmaps`); prints the id.

    An upload that was broken off goes on where it was when the same command is given again.
    """
    from rich.progress import DownloadColumn, TimeRemainingColumn  # noqa: PLC0415 - see shared

    check_one(frames, heatmaps)
    with connected(url, api_key) as client, bar(DownloadColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("uploading", total=None)
        capture = client.upload_capture(
            rig,
            labels,
            frames=frames,
            heatmaps=heatmaps,
            resumable=resumable,
            on_progress=lambda sent, total: progress.update(task, completed=sent, total=total),
        )
    show(capture, capture.id, as_json=as_json)
    for warning in capture.warnings:
        remark(f"warning: {warning}")


@commands.command("list")
def list_of_rig(rig: RigId, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List the captures of a rig."""
    with connected(url, api_key) as client:
        show_list(
            client.captures(rig),
            {
                "capture": lambda row: row.id,
                "made": lambda row: short(row.created_at),
                "kind": lambda row: row.kind,
                "frames": lambda row: str(row.frames),
                "labelled joints": lambda row: str(row.labelled_joints),
                "deleted": lambda row: short(row.purged_at),
            },
            as_json=as_json,
        )


@commands.command("show")
def show_one(
    capture: Annotated[str, typer.Argument(metavar="CAPTURE", help="Id of a capture.")],
    as_json: AsJson = True,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Print a capture as JSON."""
    with connected(url, api_key) as client:
        answer = client.capture(capture)
    show(answer, answer.id, as_json=as_json)


@commands.command("delete")
def delete(
    capture: Annotated[str, typer.Argument(metavar="CAPTURE", help="Id of a capture.")],
    sure: Sure = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Delete a capture's frames and labels for good (scope admin)."""
    confirm(f"Delete the frames and labels of {capture} for good?", sure=sure)
    with connected(url, api_key) as client:
        answer = client.delete_capture(capture)
    show(answer, f"The frames and labels of {capture} are deleted.", as_json=as_json)

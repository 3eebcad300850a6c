"""The commands of ``rigfuse`` that use a service which runs somewhere, through its Python client."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.adaptations.schemas import Adaptation
from app.adaptations.states import State
from app.client import DEFAULT_URL, Event, RigFuseClient
from models.errors import InvalidInput
from models.methods import DEFAULT_METHOD, METHODS

PANEL = "Use a service that runs (--url, --api-key)"
rigs = typer.Typer(no_args_is_help=True, help="Register rigs and look at them.")
captures = typer.Typer(no_args_is_help=True, help="Upload labelled frames.")
checkpoints = typer.Typer(no_args_is_help=True, help="What adaptations made, and which one a rig serves with.")

Url = Annotated[str, typer.Option(envvar="RIGFUSE_URL", help="Where the service is.")]
ApiKey = Annotated[str | None, typer.Option(envvar="RIGFUSE_API_KEY", help="Key for the service.")]
RigId = Annotated[str, typer.Argument(metavar="RIG", help="Id of a rig.")]
File = typer.Option(exists=True, dir_okay=False, readable=True)
out = Console()


def install(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.add_typer(rigs, name="rig", rich_help_panel=PANEL)
    app.add_typer(captures, name="capture", rich_help_panel=PANEL)
    app.add_typer(checkpoints, name="checkpoints", rich_help_panel=PANEL)
    app.command(rich_help_panel=PANEL)(adapt)
    app.command(rich_help_panel=PANEL)(poses)


@rigs.command("add")
def add_rig(
    rig: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON file as in POST /v1/rigs.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Register a rig and print its id."""
    with RigFuseClient(url, api_key) as client:
        out.print(client.register_rig(_read_json(rig))["id"])


@rigs.command("list")
def list_rigs(url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List all rigs."""
    table = Table("rig", "name", "cameras", "joints", "status", "active checkpoint")
    with RigFuseClient(url, api_key) as client:
        for rig in client.rigs():
            cameras = str(len(rig["cameras"]))
            table.add_row(
                rig["id"], rig["name"], cameras, rig["joints"], rig["status"], rig["active_checkpoint"] or "–"
            )
    out.print(table)


@rigs.command("show")
def show_rig(rig: RigId, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print a rig as JSON, each camera with its view."""
    with RigFuseClient(url, api_key) as client:
        out.print_json(data=client.rig(rig))


@rigs.command("rollback")
def roll_back(rig: RigId, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Serve a rig with the checkpoint that was active before."""
    with RigFuseClient(url, api_key) as client:
        after = client.roll_back(rig)
    out.print(f"{after.rolled_back} no longer serves; active is {after.active_checkpoint or 'no checkpoint'}.")


@captures.command("upload")
def upload_capture(
    rig: RigId,
    *,
    labels: Annotated[Path, File],
    frames: Annotated[Path | None, File] = None,
    heatmaps: Annotated[Path | None, File] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Upload labels (JSON) with a zip of images (`--frames`) or an npz of heatmaps (`--heatmaps`); prints the id."""
    _check_one(frames, heatmaps)
    with RigFuseClient(url, api_key) as client, _upload_bar() as bar:
        task = bar.add_task("uploading", total=None)
        capture = client.upload_capture(
            rig,
            labels,
            frames=frames,
            heatmaps=heatmaps,
            on_progress=lambda sent, total: bar.update(task, completed=sent, total=total),
        )
    out.print(capture["id"])
    for warning in capture["warnings"]:
        out.print(f"warning: {warning}", style="yellow")


@checkpoints.command("list")
def list_checkpoints(rig: RigId, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List the checkpoints of a rig."""
    table = Table("checkpoint", "made", "method", "seed", "active", "promoted", "why")
    with RigFuseClient(url, api_key) as client:
        for row in client.checkpoints(rig):
            made = f"{row.created_at:%Y-%m-%d %H:%M}"
            flags = ("yes" if row.active else "", "yes" if row.promoted else "no")
            table.add_row(row.id, made, row.method, str(row.seed), *flags, row.reason)
    out.print(table)


@checkpoints.command("activate")
def activate(checkpoint: str, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Serve a checkpoint's rig with it."""
    with RigFuseClient(url, api_key) as client:
        row = client.activate(checkpoint)
    out.print(f"The rig {row.rig} now serves with {row.id}.")


@checkpoints.command("download")
def download(checkpoint: str, output: Path, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Write a checkpoint's safetensors file to OUTPUT."""
    with RigFuseClient(url, api_key) as client:
        out.print(str(client.download_checkpoint(checkpoint, output)))


def adapt(
    rig: RigId,
    capture: Annotated[str, typer.Argument(metavar="CAPTURE", help="Id of a capture of that rig.")],
    *,
    method: Annotated[str, typer.Option(help=f"How to adapt: {', '.join(METHODS)}.")] = DEFAULT_METHOD,
    seed: Annotated[int, typer.Option(help="The same seed gives the same checkpoint.")] = 0,
    options: Annotated[str, typer.Option(help="Options of the method, as JSON.")] = "{}",
    follow: Annotated[bool, typer.Option("--follow", help="Show the progress and wait for the end.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Learn a checkpoint for a rig from a capture; prints the adaptation's id."""
    with RigFuseClient(url, api_key) as client:
        job = client.adapt(rig, capture, method=method, seed=seed, options=_parse_json(options, "--options"))
        out.print(job.id)
        if follow:
            _report(_follow(client, job.id))


def poses(
    rig: RigId,
    *,
    frames: Annotated[Path | None, File] = None,
    heatmaps: Annotated[Path | None, File] = None,
    checkpoint: Annotated[str, typer.Option(help="active, none, epipolar, or a checkpoint's id.")] = "active",
    triangulation: Annotated[str, typer.Option(help="robust, dlt or pictorial.")] = "robust",
    view: Annotated[str, typer.Option(help="rig: fixed windows; person: they follow the person; auto.")] = "auto",
    smoothing: Annotated[str, typer.Option(help="none, savgol or causal; the frames are then one take.")] = "none",
    fps: Annotated[float | None, typer.Option(help="Frames a second, for smoothing.")] = None,
    covariance: Annotated[bool, typer.Option(help="Tell how far off each joint in space may be.")] = False,
    output: Annotated[Path | None, typer.Option(help="File for the JSON; printed when left out.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Ask for the fused 2D joints and the 3D joints of frames (a zip of images, or an npz of heatmaps)."""
    _check_one(frames, heatmaps)
    with RigFuseClient(url, api_key) as client:
        document = client.poses(
            rig, frames=frames, heatmaps=heatmaps, checkpoint=checkpoint, triangulation=triangulation, view=view,
            smoothing=smoothing, fps=fps, covariance=covariance,
        )  # fmt: skip
    if output is None:
        out.print_json(data=document)
    else:
        output.write_text(json.dumps(document))
        out.print(f"{len(document['frames'])} frames written to {output}.")


def _follow(client: RigFuseClient, adaptation_id: str) -> Adaptation:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), console=out) as bar:
        task = bar.add_task("queued", total=1.0)

        def show(event: Event) -> None:
            known = {key: event.data[key] for key in ("progress", "stage") if key in event.data}
            bar.update(task, completed=known.get("progress"), description=known.get("stage"))

        return client.wait(adaptation_id, show)


def _report(job: Adaptation) -> None:
    if job.state is not State.SUCCEEDED:
        out.print(f"{job.state}: {job.error.detail}" if job.error else str(job.state), style="red")
        raise typer.Exit(1)
    metrics = job.metrics or {}
    out.print(f"checkpoint {job.checkpoint} {'promoted' if metrics.get('promoted') else 'not promoted'}")
    out.print(str(metrics.get("reason", "")))


def _upload_bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=Console(stderr=True))


def _check_one(frames: Path | None, heatmaps: Path | None) -> None:
    if (frames is None) == (heatmaps is None):
        raise typer.BadParameter("give exactly one of --frames and --heatmaps")


def _read_json(path: Path) -> dict[str, Any]:
    return _parse_json(path.read_bytes(), str(path))


def _parse_json(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} must be a JSON object.")
    return value

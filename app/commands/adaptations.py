"""``rigfuse adapt`` and ``rigfuse adaptations``: start jobs, follow them, stop them, try them again."""
# ruff: noqa: PLC0415 - see shared

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.shared import (
    DEFAULT_URL,
    ApiKey,
    AsJson,
    RigId,
    Url,
    bar,
    connected,
    parse_json,
    remark,
    say,
    short,
    show,
    show_list,
)
from models.methods import DEFAULT_METHOD, METHODS

if TYPE_CHECKING:
    from app.adaptations.schemas import Adaptation
    from app.client import Event, RigFuseClient

commands = typer.Typer(no_args_is_help=True, help="Jobs that turn a capture into a checkpoint.")
JobId = Annotated[str, typer.Argument(metavar="ADAPTATION", help="Id of an adaptation.")]
Follow = Annotated[bool, typer.Option("--follow", help="Show the progress and wait for the end.")]


def adapt(
    rig: RigId,
    capture: Annotated[str, typer.Argument(metavar="CAPTURE", help="Id of a capture of that rig.")],
    *,
    method: Annotated[str, typer.Option(help=f"How to adapt: {', '.join(METHODS)}.")] = DEFAULT_METHOD,
    seed: Annotated[int, typer.Option(help="The same seed gives the same checkpoint.")] = 0,
    options: Annotated[str, typer.Option(help="Options of the method, as JSON.")] = "{}",
    priority: Annotated[str, typer.Option(help="interactive, or batch: after all interactive ones.")] = "interactive",
    follow: Follow = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Learn a checkpoint for a rig from a capture; prints the adaptation's id."""
    given = parse_json(options, "--options")
    with connected(url, api_key) as client:
        job = client.adapt(rig, capture, method=method, seed=seed, options=given, priority=priority)
        _started(client, job, follow=follow, as_json=as_json)


@commands.command("list")
def list_all(
    state: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed or cancelled.")] = None,
    rig: Annotated[str | None, typer.Option(help="Only those of this rig.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """List adaptations, the newest first."""
    with connected(url, api_key) as client:
        show_list(
            client.adaptations(state=state, rig=rig),
            {
                "adaptation": lambda job: job.id,
                "made": lambda job: short(job.created_at),
                "rig": lambda job: job.rig,
                "method": lambda job: job.method,
                "state": lambda job: job.state,
                "progress": lambda job: f"{job.progress:.0%}",
                "stage": lambda job: job.stage,
                "checkpoint": lambda job: job.checkpoint or "–",
            },
            as_json=as_json,
        )


@commands.command("show")
def show_one(job: JobId, as_json: AsJson = True, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print an adaptation as JSON, with what it measured."""
    with connected(url, api_key) as client:
        answer = client.adaptation(job)
    show(answer, answer.id, as_json=as_json)


@commands.command("follow")
def follow_one(job: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Show the progress of an adaptation and wait for its end; ends with 1 where it did not succeed."""
    with connected(url, api_key) as client:
        _report(_followed(client, job), as_json=as_json)


@commands.command("cancel")
def cancel(job: JobId, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Stop an adaptation: at once where it waits, at its next step where it runs."""
    with connected(url, api_key) as client:
        answer = client.cancel(job)
    text = f"{job} is cancelled." if answer.state == "cancelled" else f"{job} stops at its next step."
    show(answer, text, as_json=as_json)


@commands.command("retry")
def retry(
    job: JobId, follow: Follow = False, as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None
) -> None:
    """Start anew what failed or was cancelled; prints the id of the adaptation that was started."""
    with connected(url, api_key) as client:
        _started(client, client.retry(job), follow=follow, as_json=as_json)


def _started(client: "RigFuseClient", job: "Adaptation", *, follow: bool, as_json: bool) -> None:
    if not follow:
        show(job, job.id, as_json=as_json)
        return
    if not as_json:
        say(job.id)
    try:
        _report(_followed(client, job.id), as_json=as_json)
    except KeyboardInterrupt:
        remark(f"The adaptation goes on; see it again with: rigfuse adaptations follow {job.id}")
        raise


def _followed(client: "RigFuseClient", adaptation_id: str) -> "Adaptation":
    from rich.progress import TextColumn, TimeRemainingColumn

    with bar(TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn()) as progress:
        task = progress.add_task("queued", total=1.0)

        def tell(event: "Event") -> None:
            known = {key: event.data[key] for key in ("progress", "stage") if key in event.data}
            progress.update(task, completed=known.get("progress"), description=known.get("stage"))

        return client.wait(adaptation_id, tell)


def _report(job: "Adaptation", *, as_json: bool) -> None:
    metrics = job.metrics or {}
    succeeded = job.state == "succeeded"
    if as_json:
        show(job, job.id, as_json=True)
    elif succeeded:
        say(f"checkpoint {job.checkpoint} {'promoted' if metrics.get('promoted') else 'not promoted'}")
        say(str(metrics.get("reason", "")))
    if not succeeded:
        remark(f"{job.state}: {job.error.detail}" if job.error else str(job.state), bad=True)
        raise typer.Exit(1)

"""The ``rigfuse`` command: run the service, try it out, and use one that runs."""
# ruff: noqa: PLC0415 - a command imports what it alone needs, so that the others and --help start fast

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from app import commands, operate
from app.access.commands import admin
from app.doors import one_sentence
from app.processes import python_module

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Few-shot calibration of multi-camera rigs: register a rig, upload about
50 labelled frames, adapt, and ask for fused 2D and 3D poses.

Start here:

```
rigfuse up --data-dir ./studio   # everything on this machine
rigfuse demo                     # the whole job on a real recording
```

Then, in another terminal:

```
rigfuse rig add rig.json
rigfuse capture upload RIG --labels labels.json --frames frames.zip
rigfuse adapt RIG CAPTURE --follow
rigfuse poses RIG --frames take.zip --output poses.json
```
""",
)
SERVICE = "Run the service"


@app.command(rich_help_panel=SERVICE)
def up(
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept; made when missing.")] = Path(".rigfuse"),
    host: Annotated[str, typer.Option(help="Address to listen on; other than loopback needs RIGFUSE_API_KEYS.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
) -> None:
    """Run everything on this machine: broker, worker and API, until Ctrl-C.

    Prints `ready http://…` when the service can be used. Logs are kept in `DATA_DIR/logs`.
    """
    arguments = ["--data-dir", str(data_dir), "--host", host, "--port", str(port)]
    _become("worker.embedded", arguments)


@app.command(rich_help_panel=SERVICE)
def api(
    host: Annotated[str | None, typer.Option(help="Address to listen on (RIGFUSE_HOST).")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on (RIGFUSE_PORT).")] = None,
    fd: Annotated[int | None, typer.Option(hidden=True, help="A socket that listens already.")] = None,
) -> None:
    """Run the API alone, with the database, broker and artifact store of the RIGFUSE_… environment."""
    import uvicorn

    from app import tracing
    from app.access.server import allow_many_files, server_options
    from app.draining import DrainingServer
    from app.main import create_app, prepare
    from app.observability import configure_standard_logging
    from app.settings import Settings

    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = Settings(**given)  # type: ignore[arg-type]  # pydantic reads the rest from the environment
    configure_standard_logging(settings.log_format)
    tracing.configure("rigfuse-api")
    application = create_app(settings)
    prepare(application)  # here, not in the server, so that what is missing is told in a sentence
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,  # its lines go where ours go
        ws_max_size=2 * settings.live_message_bytes,  # so much is read for a stream to be closed in order
        **server_options(settings),
    )
    allow_many_files()
    sockets = None if fd is None else [socket.socket(fileno=fd)]
    try:
        DrainingServer(config, application.state.draining, settings.drain_s).run(sockets=sockets)
    finally:
        tracing.shut_down()


@app.command(rich_help_panel=SERVICE)
def worker() -> None:
    """Run one worker, with the database, broker and artifact store of the RIGFUSE_… environment."""
    _become("worker", [])


@app.command(rich_help_panel=SERVICE)
def migrate() -> None:
    """Bring the database of the RIGFUSE_… environment up to the newest schema."""
    from app.db import Database
    from app.settings import Settings

    database = Database(Settings().database_url)
    database.upgrade()
    typer.echo(f"The {database.url.get_backend_name()} database is up to date.")


@app.command(rich_help_panel="Try it out")
def demo(
    data_dir: Annotated[Path | None, typer.Option(help="Where the service of the demo keeps its data.")] = None,
    output: Annotated[Path, typer.Option(help="Where the pictures and summary.json go.")] = Path("demo-output"),
    synthetic: Annotated[bool, typer.Option("--synthetic", help="A seeded synthetic world; no download.")] = False,
) -> None:
    """Run the main job from end to end on a real four-camera recording, and draw what came out."""
    from app.demo.main import run

    run(data_dir=data_dir, output=output, synthetic=synthetic)


@app.command(rich_help_panel="Try it out")
def benchmark(
    *,
    dataset: Annotated[str, typer.Option(help="panoptic, human36m or totalcapture.")],
    root: Annotated[Path, typer.Option(help="Folder of the data set, as docs/datasets.md says.")],
    method: Annotated[str, typer.Option(help="none, triangulated, or methods to adapt by.")] = "none,metafuse",
    frames: Annotated[str, typer.Option(help="Numbers of labelled frames.")] = "50,100,200,500",
    cameras: Annotated[str, typer.Option(help="How many cameras, or their names.")] = "4",
    every: Annotated[int | None, typer.Option(help="Step between the frames that are used.")] = None,
    body: Annotated[int | None, typer.Option(help="Panoptic: the person's id, where there are several.")] = None,
    backbone: Annotated[Path | None, typer.Option(help="Manifest of another backbone than the one that ships.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many test frames.")] = None,
    pictorial: Annotated[bool, typer.Option(help="Judge the pictorial model too, which is slow.")] = True,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="The same seed chooses the same frames.")] = 0,
    work: Annotated[Path | None, typer.Option(help="Folder for heatmaps while it runs.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results as JSON.")] = None,
) -> None:
    """Run the MetaFuse paper's protocol on a data set that you have, its figures beside ours."""
    if find_spec("torch") is None:
        typer.echo("rigfuse: the benchmark adapts rigs and needs torch: install rigfuse[worker,cpu].", err=True)
        raise typer.Exit(1)
    given = {
        "dataset": dataset, "root": root, "method": method, "frames": frames, "cameras": cameras, "every": every,
        "body": body, "backbone": backbone, "limit": limit, "device": device, "seed": seed, "work": work, "out": out,
    }  # fmt: skip
    options = [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
    _become("models.benchmark", [*options, *([] if pictorial else ["--no-pictorial"])])


operate.install(app)
commands.install(app)
app.add_typer(admin, name="admin", rich_help_panel=SERVICE)


def main() -> None:
    """Entry point: whatever a person can mend ends with one sentence, not with a traceback."""
    with one_sentence():
        app()


def _become(module: str, arguments: list[str]) -> None:
    # The program takes this process over, so that signals reach it and this package need not import it.
    command = python_module(module, *arguments)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - the interpreter that runs already


if __name__ == "__main__":
    main()

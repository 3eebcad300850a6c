"""``rigfuse bundle``: a rig and its checkpoint in one signed file, to take to another deployment."""
# ruff: noqa: PLC0415 - see shared

import json
from pathlib import Path
from typing import Annotated

import typer

from app.commands.shared import (
    DEFAULT_URL,
    ApiKey,
    AsJson,
    CheckpointId,
    Url,
    bar,
    connected,
    remark,
    say,
    show,
)

commands = typer.Typer(no_args_is_help=True, help="A rig and its checkpoint in one signed file.")
BundleFile = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A bundle.")]


@commands.command("export")
def export_one(
    checkpoint: CheckpointId,
    output: Annotated[Path, typer.Argument(help="Where the bundle goes.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Write a checkpoint with its rig, signed by the service, to OUTPUT."""
    with connected(url, api_key) as client:
        say(str(client.export_bundle(checkpoint, output)))


@commands.command("import")
def import_one(
    bundle: BundleFile,
    *,
    rig: Annotated[str | None, typer.Option(help="The rig it is for; else one of the same calibration.")] = None,
    activate: Annotated[bool, typer.Option("--activate", help="Serve the rig with it at once.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Take a bundle in (scope admin); prints the checkpoint's id. The service must trust the key that signed it."""
    from rich.progress import DownloadColumn

    with connected(url, api_key) as client, bar(DownloadColumn()) as progress:
        task = progress.add_task("uploading", total=None)
        taken = client.import_bundle(
            bundle,
            rig=rig,
            activate=activate,
            on_progress=lambda sent, total: progress.update(task, completed=sent, total=total),
        )
    show(taken, taken.checkpoint.id, as_json=as_json)
    rig_was = "registered" if taken.rig_registered else "there already"
    checkpoint_was = "taken in" if taken.checkpoint_registered else "there already"
    remark(f"The rig {taken.rig} was {rig_was}, the checkpoint was {checkpoint_was}.")


@commands.command("inspect")
def inspect(bundle: BundleFile, _as_json: AsJson = True) -> None:
    """Print what a bundle says of itself, once it is whole and the signature is right; asks no service.

    Whether to trust the key that signed it is for you to say: compare its fingerprint with `rigfuse bundle key` there.
    """
    from app.bundles.format import fingerprint, read

    data = bundle.read_bytes()
    found = read(data, trusted=None)
    told = found.statement.model_dump(mode="json", exclude={"artifact_header", "signature"})
    told["rig"]["cameras"] = [camera["id"] for camera in told["rig"].pop("document")["cameras"]]
    say(json.dumps({**told, "key_fingerprint": fingerprint(found.statement.key), "sha256": found.sha256}, indent=2))


@commands.command("key")
def key(as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Print the public key that signs a service's bundles; others put it into RIGFUSE_TRUSTED_KEYS."""
    with connected(url, api_key) as client:
        answer = client.signing_key()
    show(answer, answer.public_key, as_json=as_json)
    if not as_json:
        remark(f"fingerprint {answer.fingerprint}")

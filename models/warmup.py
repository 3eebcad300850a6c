"""Train a backbone of your own on labelled images: ``python -m models.warmup`` writes an ONNX file and its manifest.

    python -m models.warmup --capture rig.json labels.json frames.zip --out backbone
    RIGFUSE_BACKBONE_MANIFEST=backbone/simplebaseline.json rigfuse up --data-dir studio

A run that was cut short goes on where it stopped when the same command is given again.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from models.checkpoint import CODE_VERSION
from models.errors import InvalidInput, RigFuseError
from models.simplebaseline import DEPTHS, Architecture
from models.simplebaseline_data import Samples, Source, capture, coco_people, gather, split
from models.simplebaseline_export import export
from models.simplebaseline_training import Curve, Run, Schedule, train

_PARITY_IMAGES = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, export, and say where the manifest lies; 1 with a sentence where the input is at fault."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        manifest = warm_up(options, console)
    except RigFuseError as error:
        sys.stderr.write(f"{error.message}{f' (at {error.at})' if error.at else ''}\n")
        return 1
    console.print(f"Serve it with RIGFUSE_BACKBONE_MANIFEST={manifest}", soft_wrap=True)
    return 0


def warm_up(options: argparse.Namespace, console: Console) -> Path:
    """Read the labelled images, train on them and export; returns the manifest's path."""
    out: Path = options.out
    sources: list[Source] = [capture(*map(Path, paths)) for paths in options.capture]
    sources += [coco_people(*map(Path, paths)) for paths in options.coco]
    if not sources:
        raise InvalidInput("Nothing to train on: give --capture or --coco.")
    with Progress(console=console) as progress:
        cutting = progress.add_task("Cutting views", total=1.0)
        samples = gather(sources, out / "views.npy", lambda share: progress.update(cutting, completed=share))
        run = _run(options, samples)
        training = progress.add_task("Training", total=run.schedule.epochs)
        network, curve = train(
            run,
            out / "state.pt",
            lambda epoch, share: progress.update(training, completed=epoch + share),
            lambda row: console.print(_sentence(row), highlight=False),
        )
    real = samples.images[run.held_out if len(run.held_out) else run.fit][:_PARITY_IMAGES]
    provenance = _provenance(run, curve, options.imagenet)
    licence, name = options.licence, options.name
    return export(network, samples.skeleton, out, images=real, name=name, licence=licence, provenance=provenance)


def _run(options: argparse.Namespace, samples: Samples) -> Run:
    fit, held_out = split(samples, options.hold_out, options.seed)
    return Run(
        samples, fit, held_out,
        Schedule.of(options.epochs, batch=options.batch, seed=options.seed),
        Architecture(blocks=DEPTHS[options.depth]),
        _imagenet(options.imagenet), options.device, options.workers,
    )  # fmt: skip


def _imagenet(path: Path | None) -> dict[str, torch.Tensor] | None:
    if path is None:
        return None
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its readers raise
        told = str(error).partition("\n")[0]
        raise InvalidInput(f"{path} holds no weights that torch can read: {told}", at=str(path)) from error
    if not isinstance(weights, dict):
        raise InvalidInput(f"{path} holds no state dictionary.", at=str(path))
    return {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}


def _provenance(run: Run, curve: Curve, imagenet: Path | None) -> dict[str, Any]:
    return {
        "model": "SimpleBaseline (Xiao, Wu and Wei, ECCV 2018), trained by models/warmup.py",
        "code_version": CODE_VERSION,
        "architecture": asdict(run.architecture),
        "schedule": asdict(run.schedule),
        "body": "random" if imagenet is None else hashlib.sha256(imagenet.read_bytes()).hexdigest(),
        "run_sha256": run.digest,
        "views": {"trained_on": len(run.fit), "held_out": len(run.held_out), "sha256": run.samples.digest},
        "device": run.device,
        "curve": [{key: None if v is None else float(f"{v:.4g}") for key, v in row.items()} for row in curve],
    }  # fmt: skip


def _sentence(row: dict[str, Any]) -> str:
    found = "" if row["jdr"] is None else f", held out: JDR {row['jdr']:.1%}, median {row['median_px']:.2f} px"
    return f"epoch {row['epoch']}: rate {row['rate']:.0e}, loss {row['loss']:.5f}{found}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.warmup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    pairs = {"capture": ("RIG", "LABELS", "FRAMES"), "coco": ("ANNOTATIONS", "IMAGES")}
    told = {
        "capture": "a rig, labels as a capture has them, and a zip or folder of <frame>/<camera>.jpg; repeatable",
        "coco": "a COCO keypoints file and its folder of images; repeatable",
    }
    for name, metavar in pairs.items():
        parser.add_argument(
            f"--{name}", nargs=len(metavar), metavar=metavar, action="append", default=[], help=told[name]
        )
    parser.add_argument("--out", type=Path, required=True, help="folder for state, ONNX file and manifest")
    parser.add_argument("--name", default="simplebaseline", help="of the files, and in the manifest")
    parser.add_argument("--licence", help="of the trained weights, for the manifest")
    parser.add_argument("--imagenet", type=Path, help="a ResNet's published ImageNet weights (.pth) to start from")
    parser.add_argument("--depth", type=int, choices=sorted(DEPTHS), default=50)
    parser.add_argument("--epochs", type=int, default=Schedule.epochs, help="rate drops after 1/2 and 5/6 of them")
    parser.add_argument("--batch", type=int, default=Schedule.batch)
    parser.add_argument("--hold-out", type=float, default=0.2, help="share of the frames to validate on")
    parser.add_argument("--seed", type=int, default=Schedule.seed)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that load and change images")
    return parser


if __name__ == "__main__":
    sys.exit(main())

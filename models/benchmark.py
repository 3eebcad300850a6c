"""Running the paper's protocol on its data sets: ``python -m models.benchmark --dataset panoptic --root DIR``.

``rigfuse benchmark`` is the same. See docs/datasets.md for the folders that are expected.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.adaptation import adapt
from models.backbone import Backbone
from models.datasets import DATASETS, EVERY, open_dataset
from models.datasets.judge import UNLEARNED, engine_of, judge
from models.datasets.protocol import Plan, Stage, prepare
from models.datasets.report import Result, document, remarks, tables
from models.datasets.scores import Outcome
from models.datasets.sequence import Dataset
from models.errors import DatasetError, RigFuseError
from models.labelled import MIN_LABELLED_FRAMES
from models.methods import METHODS
from models.rig import Rig
from models.runtime import Engine

_METHODS = (*UNLEARNED, *METHODS)
_WIDTH = 100  # of the tables in a file or a pipe


def run(dataset: Dataset, backbone: Backbone, plan: Plan, folder: Path, bar: Progress) -> tuple[Stage, list[Result]]:
    """Make all heatmaps in ``folder``, adapt and judge each method with each number of frames. Raises DatasetError."""
    images = bar.add_task("images", total=None)
    stage = prepare(
        dataset, backbone, plan, folder,
        begin=lambda total: bar.update(images, total=total),
        advance=lambda done: bar.advance(images, done),
    )  # fmt: skip
    possible = tuple(count for count in plan.frames if count <= len(stage.order))
    if plan.frames and not possible and set(plan.methods) - UNLEARNED.keys():
        raise DatasetError(f"The training recordings have {len(stage.order)} usable frames; too few.", at="frames")
    return stage, list(_results(stage, replace(plan, frames=possible), bar))


def _results(stage: Stage, plan: Plan, bar: Progress) -> Iterator[Result]:
    for method in plan.methods:
        if method in UNLEARNED:
            yield Result(method, None, _judged(stage, plan, UNLEARNED[method], method, bar))
        else:
            yield from (_adapted(stage, plan, method, count, bar) for count in plan.frames)


def _adapted(stage: Stage, plan: Plan, method: str, count: int, bar: Progress) -> Result:
    learning = bar.add_task(f"{method} {count}: adapting", total=100)
    started = monotonic()
    checkpoint = adapt(
        stage.rig, stage.labelled(count), method=method, seed=plan.seed, device=plan.device,
        progress=lambda _stage, share: bar.update(learning, completed=100 * share),
    )  # fmt: skip
    seconds = monotonic() - started
    bar.update(learning, completed=100)
    outcome = _judged(stage, plan, lambda rig: engine_of(checkpoint, stage.rig, rig), f"{method} {count}", bar)
    return Result(method, count, outcome, seconds, checkpoint.promoted)


def _judged(stage: Stage, plan: Plan, make: Callable[[Rig], Engine], name: str, bar: Progress) -> Outcome:
    task = bar.add_task(f"{name}: testing", total=sum(len(index) for _, index, _ in stage.tests()))
    return judge(stage, make, plan.triangulations, lambda done: bar.advance(task, done))


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="rigfuse benchmark", description=__doc__)
    parser.add_argument("--dataset", required=True, choices=sorted(DATASETS))
    parser.add_argument("--root", required=True, type=Path, help="folder of the data set")
    parser.add_argument("--method", type=_listed, default=("none", "metafuse"), help=f"of {', '.join(_METHODS)}")
    parser.add_argument("--frames", type=_numbers, default=(50, 100, 200, 500), help="numbers of labelled frames")
    parser.add_argument("--cameras", type=_cameras, default=4, help="how many, or their names")
    parser.add_argument("--every", type=int, help="step between frames that are used")
    parser.add_argument("--body", type=int, help="panoptic: id of the person, where there are several")
    parser.add_argument("--backbone", type=Path, help="manifest of another backbone than the one that ships")
    parser.add_argument("--limit", type=int, help="at most so many test frames")
    parser.add_argument("--no-pictorial", action="store_true", help="leave the pictorial model out: it is slow")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder for heatmaps while it runs; 0.14 MB an image")
    parser.add_argument("--out", type=Path, help="file for the results as JSON")
    read = parser.parse_args(given)
    if unknown := [name for name in read.method if name not in _METHODS]:
        parser.error(f"--method: {', '.join(unknown)} not known; choose of {', '.join(_METHODS)}")
    if (read.every is not None and read.every < 1) or (read.limit is not None and read.limit < 1):
        parser.error("--every and --limit are at least 1")
    if not read.method:
        parser.error("--method: name one")
    if set(read.method) - UNLEARNED.keys() and min(read.frames, default=0) < MIN_LABELLED_FRAMES:
        parser.error(f"--frames: name numbers from {MIN_LABELLED_FRAMES} on; no method adapts to fewer")
    for name, folder in (("--out", read.out and read.out.parent), ("--work", read.work)):
        if folder is not None and not folder.is_dir():  # said now, not after hours
            parser.error(f"{name}: there is no folder {folder}")
    if read.out is not None and read.out.is_dir():
        parser.error(f"--out: {read.out} is a folder, not a file")
    return read


def main(given: Sequence[str] | None = None) -> None:
    """Run, print, and write the results; what a person can mend ends with one sentence."""
    try:
        _main(arguments(given))
    except RigFuseError as error:
        print(f"rigfuse: {error}", file=sys.stderr)  # noqa: T201 - what the person reads
        sys.exit(1)


def _main(read: argparse.Namespace) -> None:
    triangulations = ("robust",) if read.no_pictorial else ("robust", "pictorial")
    plan = Plan(read.method, read.frames, read.limit, read.seed, read.device, triangulations)
    dataset = open_dataset(read.dataset, read.root, read.cameras, read.every or EVERY[read.dataset], read.body)
    backbone = Backbone.load(read.backbone, device=read.device)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with TemporaryDirectory(prefix="rigfuse-benchmark-", dir=read.work) as folder:
        with Progress(*columns, console=console) as bar:
            stage, results = run(dataset, backbone, plan, Path(folder), bar)
        for line in remarks(dataset, stage, plan):
            console.print(line, highlight=False, markup=False)
        screen = Console()
        (screen if screen.is_terminal else Console(width=_WIDTH)).print(*tables(read.dataset, results, plan))
        if read.out is not None:
            found = document(dataset, backbone, stage, plan, results)
            read.out.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in _listed(text)}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers, such as 50,100") from None


def _cameras(text: str) -> int | tuple[str, ...]:
    names = _listed(text)
    return int(text) if text.strip().isdecimal() and int(text) > 1 else names


if __name__ == "__main__":
    main()

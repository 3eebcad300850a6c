"""Rebuild ω_base: ``python -m models.metalearning [--config ours] [--resume]``.

On several GPUs: ``torchrun --nproc-per-node 2 -m models.metalearning --device cuda --workers 4``, where the rigs of a
step are shared out, so their number is a multiple of the processes. A run that was stopped goes on with ``--resume``
and ends with the same numbers as one that was not.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from models.errors import RigFuseError
from models.metalearning.provenance import manifest
from models.metalearning.ranks import Ranks, joined
from models.metalearning.schedule import Schedule, read_schedule
from models.metalearning.state import State
from models.metalearning.train import Report, train
from models.weights import FOLDER, save_omega

_SHOWN = 50  # the loss shown is the mean of this many steps


def main() -> None:
    """Train, then write the weights, their manifest and a picture; errors end the program with one sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="ours", help="a name in models/configs or the path of a TOML file")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder for the weights and their manifest")
    parser.add_argument("--plot", type=Path, help="where to draw the result (PNG; needs matplotlib)")
    parser.add_argument("--state", type=Path, help="the training state [OUT/omega_base.state]")
    parser.add_argument("--save-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--resume", action="store_true", help="go on from the training state, if there is one")
    parser.add_argument("--steps", type=int, help="instead of the config's")
    parser.add_argument("--seed", type=int, help="instead of the config's")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw worlds ahead")
    arguments = parser.parse_args()
    try:
        schedule = read_schedule(arguments.config)
        chosen = {name: getattr(arguments, name) for name in ("steps", "seed") if getattr(arguments, name) is not None}
        with joined(arguments.device) as ranks:
            _run(replace(schedule, **chosen), ranks, arguments)
    except RigFuseError as error:
        sys.exit(f"{error.at}: {error.message}" if error.at else error.message)


def _run(schedule: Schedule, ranks: Ranks, arguments: argparse.Namespace) -> None:
    path = arguments.state or arguments.out / "omega_base.state"
    resumed = arguments.resume and path.is_file()
    state = State.load(path, schedule, ranks.device) if resumed else State.start(schedule, ranks.device)
    if ranks.rank:
        train(schedule, ranks=ranks, state=state, workers=arguments.workers)
        return
    with _progress() as progress:
        report = _reporter(progress, state, path, arguments.save_every)
        omega = train(schedule, ranks=ranks, state=state, workers=arguments.workers, report=report)
    arguments.out.mkdir(parents=True, exist_ok=True)
    told = manifest(state, ranks, arguments.workers)
    digest = save_omega(omega, arguments.out, told)
    Console().print(f"{arguments.out / 'omega_base.safetensors'}: SHA-256 {digest}")
    if arguments.plot:
        from models.metalearning.plot import plot  # noqa: PLC0415 - optional

        plot(omega, told, arguments.plot)


def _progress() -> Progress:
    return Progress(
        TextColumn("Meta-training ω_base"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip


def _reporter(progress: Progress, state: State, path: Path, every: int) -> Report:
    task = progress.add_task("", total=state.schedule.steps, completed=state.step, loss="")

    def report(state: State) -> None:
        recent = state.curve[-_SHOWN:]
        fused, unfused = (sum(column) / len(recent) for column in zip(*recent, strict=True))
        progress.update(task, completed=state.step, loss=f"loss {fused:.4f} (no fusion {unfused:.4f})")
        if state.step % every == 0 or state.step == state.schedule.steps:
            state.save(path)

    return report


if __name__ == "__main__":
    main()

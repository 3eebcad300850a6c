"""The fault campaign: under load, real processes are killed, their disk fills up or crawls, and their clocks jump.

``python -m benchmarks.fault_campaign`` runs all sections and writes ``benchmarks/results/fault_campaign.md``; with
``--only kill,disk`` it runs those, and keeps what the others found before. The same seed strikes in the same order. The
full disk needs root, the slow disk and the clocks a C compiler.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from app.adaptations.states import FINISHED
from benchmarks._fault_deployment import Deployment
from benchmarks._fault_machine import Unavailable, clocks, filling, jumping, slow_disk, small_disk
from benchmarks._fault_report import report
from benchmarks._fault_storm import (
    Fault,
    Outcome,
    Plan,
    deliver_again,
    freeze_worker,
    kill,
    restart_database,
    stop_worker,
    storm,
)

RESULTS = Path(__file__).parent / "results"
_WORKERS = ("worker1", "worker2")
_KILLS = kill("worker", "worker", "api", "broker")
_DISK_MB = 64


@contextmanager
def _killing(folder: Path) -> Iterator[tuple[Deployment, list[Fault]]]:
    with Deployment(folder) as deployment:
        yield deployment, [*_KILLS, stop_worker, restart_database, freeze_worker]


@contextmanager
def _database(folder: Path) -> Iterator[tuple[Deployment, list[Fault]]]:
    with Deployment(folder) as deployment:
        yield deployment, [restart_database, restart_database, *kill("worker")]


@contextmanager
def _full_disk(folder: Path) -> Iterator[tuple[Deployment, list[Fault]]]:
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", _DISK_MB))
        deployment = stack.enter_context(Deployment(folder, data_dir=disk, RIGFUSE_MIN_FREE_BYTES="1MiB"))
        yield deployment, [filling(disk), filling(disk), *kill("worker")]


@contextmanager
def _everything_full(folder: Path) -> Iterator[tuple[Deployment, list[Fault]]]:
    with small_disk(folder, 4 * _DISK_MB) as disk, Deployment(folder, RIGFUSE_MIN_FREE_BYTES="1MiB") as deployment:
        yield deployment, [filling(disk)]


@contextmanager
def _slow_disk(folder: Path) -> Iterator[tuple[Deployment, list[Fault]]]:
    crawling = slow_disk(folder, folder / "tools", milliseconds=80, kilobytes_per_s=2000)
    with Deployment(folder, alone=dict.fromkeys(("api", "database", *_WORKERS), crawling)) as deployment:
        yield deployment, [*_KILLS, stop_worker]


@contextmanager
def _clocks(folder: Path) -> Iterator[tuple[Deployment, list[Fault]]]:
    names = (*_WORKERS, "api", "database")
    # Footage is kept for a day after its last use, and workers look often: none may go because theirs is the wrong day.
    keeping = {"RIGFUSE_CAPTURE_RETENTION_DAYS": "1", "RIGFUSE_HOUSEKEEPING_S": "2"}
    with Deployment(folder, alone=clocks(folder / "clocks", names), **keeping) as deployment:
        jumps = [jumping(folder / "clocks", name, 2_000_000 if name in _WORKERS else 10_000) for name in names]
        yield deployment, [*jumps, *kill("worker"), freeze_worker]


@contextmanager
def _twice(folder: Path) -> Iterator[tuple[Deployment, list[Fault]]]:
    with Deployment(folder) as deployment:
        yield deployment, [deliver_again]


@dataclass(frozen=True)
class Section:
    """A kind of fault: how it is made, its share of the adaptations and pose requests, and how often it strikes."""

    title: str
    make: Callable[[Path], AbstractContextManager[tuple[Deployment, list[Fault]]]]
    every_s: float
    adaptations: float = 0.3
    poses: float = 0.1


SECTIONS: Mapping[str, Section] = {
    "kill": Section(
        "kill -9 of workers, API and broker; workers that hang; the database restarts",
        _killing,
        3.0,
        1.0,
        1.0,
    ),
    "database": Section("The database restarts again and again", _database, 2.5),
    "disk": Section("The disk of artifacts and uploads is full for seconds", _full_disk, 1.5),
    "full": Section(
        "The disk of everything is full for seconds: database and logs too", _everything_full, 1.5, 0.2, 0.06
    ),
    "slow": Section("A disk of 2 MB/s, 80 ms more for each sync; and kills", _slow_disk, 5.0, 0.2, 0.05),
    "clock": Section(
        "Clocks are set: of API and database by up to hours, of workers by up to weeks; workers die and hang",
        _clocks,
        1.5,
    ),
    "twice": Section("Every message is delivered again and again to two workers", _twice, 0.3, 0.3, 0.02),
}


def main() -> None:
    """Run, and write the report; exits with 1 where something was not as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--adaptations", type=int, default=50, help="of the first section; the others have fewer")
    parser.add_argument("--poses", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep the logs of each section here")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))  # so that no process of a deployment is left behind
    stored = arguments.out / "fault_campaign.json"
    found = json.loads(stored.read_text()) if stored.exists() else {}
    for name in arguments.only.split(","):
        print(f"== {name}: {SECTIONS[name].title}", flush=True)
        outcome = _run(SECTIONS[name], arguments)
        if name == "twice":
            outcome.violations.extend(_more_attempts_than_jobs(outcome.counts))
        found[name] = {"title": SECTIONS[name].title, "seed": arguments.seed, **asdict(outcome)}
        print(json.dumps(outcome.counts, indent=1), *outcome.violations, sep="\n", flush=True)
        arguments.out.mkdir(parents=True, exist_ok=True)
        found = {key: found[key] for key in SECTIONS if key in found}
        stored.write_text(json.dumps(found, indent=1) + "\n")
        (arguments.out / "fault_campaign.md").write_text(report(found))
    sys.exit(any(section["violations"] for section in found.values()))


def _more_attempts_than_jobs(counts: Mapping[str, int]) -> list[str]:
    """Where nothing dies, each job is worked on once, however often it is delivered."""
    jobs = sum(counts.get(f"adaptations {state}", 0) for state in FINISHED)
    attempts = counts["attempts"]
    return [f"{attempts} attempts at {jobs} adaptations, though nothing died"] if attempts > jobs else []


def _run(section: Section, arguments: argparse.Namespace) -> Outcome:
    plan = Plan(
        arguments.seed,
        adaptations=max(2, round(section.adaptations * arguments.adaptations)),
        pose_requests=max(2, round(section.poses * arguments.poses)),
        every_s=section.every_s,
        least_faults=5,
        persist_s=20 * section.every_s,
    )
    with tempfile.TemporaryDirectory(prefix="rigfuse-faults-") as scratch:
        folder = Path(scratch) / "here"
        Path(scratch).chmod(0o755)
        try:
            with section.make(folder) as (deployment, faults):
                try:
                    return storm(deployment, plan, faults)
                finally:
                    _keep(arguments.keep, folder / "logs", section.make.__name__.strip("_"))
        except Unavailable as reason:
            return Outcome(counts={f"not run: {reason}": 1})


def _keep(where: Path | None, logs: Path, name: str) -> None:
    if where is not None:
        shutil.copytree(logs, where / name, dirs_exist_ok=True)


if __name__ == "__main__":
    main()

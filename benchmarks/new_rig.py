"""The benchmark of new rigs: systems × labelled frames × families of rigs × errors of the cameras that were sent.

``python -m benchmarks.new_rig`` measures one small studio in a few minutes; ``--preset full`` everything (about two
hours on one core), into a file of one row a cell. Cells that the file has are not measured again, so a run may be
stopped and resumed. ``--report FOLDER`` writes tables and figures from the file.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import track

from benchmarks._cells import SYSTEMS, fitted, measure
from benchmarks._families import FAMILIES, Studio, studio
from benchmarks._report import summary, write_report

ERRORS = ("0", "0.5", "1", "2")
COUNTS = (10, 25, 50, 100, 200, 500)
SWEPT = ("h36m", "studio4")  # over all errors, and the labelled frames
FEW = ("0", "0.5")  # errors at which 10 labelled frames are measured too
UPPER_BOUND_FRAMES = 1000
UNLABELLED = ("none", "robust")
GEOMETRIC = ("epipolar-sum", "epipolar-max", "ours")
LEARNED = ("naive", "naive-meta", "affine", "paper", "paper-search")


class Cell(NamedTuple):
    """A row's key."""

    family: str
    rig: int
    error: str
    k: int
    system: str


def quick() -> Iterator[Cell]:
    """One studio of four cameras, 50 frames, exact and turned cameras."""
    for error in ("0", "1"):
        yield from _at("studio4", 0, error, (50,), GEOMETRIC)


def full() -> Iterator[Cell]:
    """What docs/science.md tells."""
    for family in FAMILIES.values():
        many = family.name in SWEPT
        for rig in range(family.rigs):
            for error in ERRORS if many else ("0", "1"):
                yield from _at(family.name, rig, error, (50, 10) if many and error in FEW else (50,), GEOMETRIC)
            yield from (
                Cell(family.name, rig, "labels", count, "ours-labels") for count in ((50, 10) if many else (50,))
            )
    for family in SWEPT:
        yield from _at(family, 0, "0", (50,), (*LEARNED, "naive-none", "naive-l1", "naive-l21"))
    yield from _at("h36m", 0, "0", COUNTS, (*LEARNED, *GEOMETRIC))
    yield Cell("h36m", 0, "0", UPPER_BOUND_FRAMES, "naive")


def _at(family: str, rig: int, error: str, counts: Sequence[int], systems: Sequence[str]) -> Iterator[Cell]:
    """The systems that learn from labels, at each number of frames, and those that do not."""
    yield from (Cell(family, rig, error, 0, system) for system in UNLABELLED)
    yield from (Cell(family, rig, error, count, system) for count, system in product(counts, systems))


PRESETS = {"quick": quick, "full": full}


@lru_cache(maxsize=1)  # half a gigabyte each
def _studio(family: str, rig: int, frames: int) -> Studio:
    return studio(FAMILIES[family], rig, frames)


def run(cell: Cell) -> dict[str, object]:
    """Measure one cell."""
    system = SYSTEMS[cell.system]
    pool = 50 if cell.k <= 50 else max(cell.k, 500)
    place = _studio(cell.family, cell.rig, pool)
    engine, seconds, checkpoint = fitted(system, place.sent(cell.error, cell.rig), place.frames(cell.k))
    told = {"promoted": checkpoint.promoted, "reason": checkpoint.metrics["reason"]} if checkpoint else {}
    pictorial = cell.system != "robust" and cell.error in {"0", "1"}
    rows = measure(engine, place, aligned=not system.extrinsics, pictorial=pictorial)
    return {**cell._asdict(), "seconds": round(seconds, 2), **told, **rows}


def main() -> None:
    """Run the cells that are missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="quick")
    parser.add_argument("--family", nargs="+", choices=sorted(FAMILIES))
    parser.add_argument("--system", nargs="+", choices=sorted(SYSTEMS))
    parser.add_argument("--out", type=Path, help="rows, one JSON object a line; appended to")
    parser.add_argument("--report", type=Path, help="folder for tables and figures")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.out.read_text().splitlines()] if _exists(arguments.out) else []
    have = {Cell(*(row[name] for name in Cell._fields)) for row in rows}
    wanted = [
        cell
        for cell in dict.fromkeys(PRESETS[arguments.preset]())
        if cell not in have
        and (not arguments.family or cell.family in arguments.family)
        and (not arguments.system or cell.system in arguments.system)
    ]
    for cell in track(wanted, description="New rigs", console=Console(stderr=True)):
        rows.append(run(cell))
        if arguments.out:
            with arguments.out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    Console(width=120).print(summary(rows))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    if arguments.report:
        write_report(rows, arguments.report)


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


if __name__ == "__main__":
    main()

"""What an adaptation gives on rigs nobody has seen, and how long it takes.

``python -m benchmarks.adaptation [--rigs 3] [--frames 50] [--out results.json]``: for simulated studios with exact and
with turned cameras, JDR at 1.6 heatmap pixels and 3D error on other frames than those uploaded, all in one run.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from models import evaluation, metrics
from models.adaptation import adapt
from models.rig import Rig
from models.runtime import Engine
from models.worlds import Detector, World, disturb, make_world, random_rig

THRESHOLD_PX = 1.6
LABEL_NOISE_PX = 0.25
SEED = 20_000  # far from the seed that meta-training draws its studios from


def rows(rigs: int, frames: int, cameras: int, degrees: tuple[float, ...]) -> Iterator[dict[str, Any]]:
    """One row a rig, camera error and way of fusing."""
    for index in range(rigs):
        rng = np.random.default_rng(SEED + index)
        rig = random_rig(rng, cameras)
        learn = make_world(rng, rig, frames, Detector(), clips=5)
        test = make_world(rng, rig, 60, Detector(), clips=6)
        labelled = learn.labelled(rng, LABEL_NOISE_PX)
        for angle in degrees:
            sent = disturb(rng, rig, angle)
            started = time.perf_counter()
            checkpoint = adapt(sent, labelled)
            seconds = time.perf_counter() - started
            engines = {
                "no fusion": Engine.unfused(sent),
                "robust triangulation": Engine.triangulated(sent),
                "epipolar": Engine.epipolar(sent),
                "metafuse": Engine.load(sent, checkpoint),
            }
            for name, engine in engines.items():
                took = seconds if name == "metafuse" else None
                yield {
                    "rig": index, "cameras": cameras, "degrees": angle, "method": name, "seconds": took,
                    "promoted": checkpoint.promoted if name == "metafuse" else None, **measure(engine, test, rig),
                }  # fmt: skip


def measure(engine: Engine, world: World, rig: Rig) -> dict[str, float]:
    """JDR (all, hidden) in percent and the 3D error in mm on a world's frames."""
    labelled = world.labelled()
    poses = evaluation.run(engine, labelled)
    threshold = np.full(poses.joints_view.shape[:-1], THRESHOLD_PX)
    error = np.linalg.norm(poses.pose3d - world.joints_world, axis=-1) * rig.metres_per_unit * 1000
    return {
        "jdr": 100 * metrics.jdr(poses.joints_view, labelled.joints_view, threshold),
        "jdr_hidden": 100 * metrics.jdr(poses.joints_view, labelled.joints_view, threshold, world.hidden),
        "median_mm": float(np.nanmedian(error)),
        "over_100mm": 100 * float((~(error < 100)).mean()),
    }


def table(results: list[dict[str, Any]]) -> Table:
    """Means over the rigs."""
    shown = Table("cameras", "turned by", "method", "JDR", "hidden", "median mm", "> 100 mm or none", "adapted in")
    for key in dict.fromkeys((r["cameras"], r["degrees"], r["method"]) for r in results):
        group = [r for r in results if (r["cameras"], r["degrees"], r["method"]) == key]
        mean = {name: np.mean([r[name] for r in group]) for name in ("jdr", "jdr_hidden", "median_mm", "over_100mm")}
        seconds = [r["seconds"] for r in group if r["seconds"] is not None]
        shown.add_row(
            str(key[0]), f"{key[1]}°", key[2], f"{mean['jdr']:.1f}%", f"{mean['jdr_hidden']:.1f}%",
            f"{mean['median_mm']:.0f}", f"{mean['over_100mm']:.1f}%", f"{np.mean(seconds):.0f} s" if seconds else "",
        )  # fmt: skip
    return shown


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--cameras", type=int, nargs="+", default=[4])
    parser.add_argument("--degrees", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = [
        row
        for cameras in arguments.cameras
        for row in rows(arguments.rigs, arguments.frames, cameras, tuple(arguments.degrees))
    ]
    Console(width=110).print(table(results))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.frames} labelled frames")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

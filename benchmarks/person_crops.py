"""Windows that follow the person against the rig's fixed views, on the real recording and in large synthetic halls.

``python -m benchmarks.person_crops [--cache .demo-cache]``: the same checkpoint in both ways, without fusion too. Real:
learned on frames 0–49, judged on the limbs of frames 55–98 against the consensus labels, the capture volume 10 cm and
50 cm around the person's path and none at all. Halls: 4 to 8 m wide, cameras exact and turned by 1°, the simulated
detector acting in the pixels of whatever window it looks through. JDR is at half a head, 8.5 cm at the joint's depth.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from app.demo.fetch import fetch
from benchmarks import _person_halls, _person_recording
from benchmarks._person_recording import Scene
from benchmarks._person_scores import Judged
from models.backbone import Backbone
from models.crops import DEFAULT, CropOptions, See, follow
from models.runtime import Engine, Poses
from models.views import View

OUT = Path(__file__).parent / "results" / "person_crops.json"
WAYS = {"fixed": CropOptions(passes=0), "person": DEFAULT}


def rows(scene: Scene) -> Iterator[dict[str, Any]]:
    """A row for every engine and way of looking."""
    for fusion, engine in scene.engines.items():
        for way, options in WAYS.items():
            yield {"scene": scene.name, "fusion": fusion, "view": way, **judge(scene, engine, options).figures()}


def judge(scene: Scene, engine: Engine, options: CropOptions) -> Judged:
    """All frames of a scene; decoding the images is not counted, making heatmaps is."""
    parts, spent, looks = [], 0.0, 0
    for frame in range(len(scene.truth.frames)):
        counting = _Counting(scene.eyes(frame))
        started = time.process_time()
        parts.append(follow(engine, counting, options=options))
        spent, looks = spent + time.process_time() - started, looks + counting.looks
    return Judged(scene.truth, Poses.joined(parts), 1000 * spent / len(parts), looks / len(parts))


class _Counting:
    """Eyes that count how often they look."""

    def __init__(self, see: See) -> None:
        self.looks, self._see = 0, see

    def __call__(self, views: Sequence[View]) -> NDArray[np.floating[Any]]:
        self.looks += 1
        return self._see(views)


def table(results: list[dict[str, Any]]) -> Table:
    """All rows."""
    shown = Table(
        "scene", "fusion", "view", "JDR", "hidden", "mean mm", "aligned", "median", "≤ 8.5 cm", "CPU ms", "looks"
    )
    for row in results:
        hidden = "–" if row["jdr_hidden"] is None else f"{row['jdr_hidden']:.1f}"
        shown.add_row(
            row["scene"], row["fusion"], row["view"], f"{row['jdr']:.1f}", hidden, f"{row['mpjpe_mm']:.1f}",
            f"{row['mpjpe_aligned_mm']:.1f}", f"{row['median_aligned_mm']:.1f}", f"{row['within_half_head_3d']:.1f}",
            f"{row['cpu_ms_a_frame']:.0f}", f"{row['looks_a_frame']:.1f}",
        )  # fmt: skip
    return shown


def main() -> None:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".demo-cache"), help="where the recording is kept")
    parser.add_argument("--frames", choices=("test", "learn"), default="test", help="learn: to choose options by")
    parser.add_argument("--only", choices=("recording", "halls"))
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        real, halls = [], []
        if arguments.only != "halls":
            backbone = Backbone.load(threads=1)
            real = _person_recording.scenes(fetch(arguments.cache), Path(scratch), backbone, arguments.frames)
        if arguments.only != "recording":
            halls = _person_halls.scenes()
        for scene in chain(real, halls):
            results += rows(scene)
            print(f"{scene.name} done", flush=True)
            _write(arguments.out, results, arguments.frames)
    Console(width=140).print(table(results))


def _write(path: Path, results: list[dict[str, Any]], frames: str) -> None:
    path.parent.mkdir(exist_ok=True)
    report = {"options": asdict(DEFAULT), "numpy": np.__version__, "frames": frames, "rows": results}
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

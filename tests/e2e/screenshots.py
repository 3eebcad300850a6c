"""``python -m tests.e2e.screenshots OUT``: every page in its states, light and dark, wide and narrow, to look at."""
# ruff: noqa: T201 - a program that says what it made

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import chromium
import numpy as np
import stories
import studio
from browser import Browsing, sign_in, started
from embedded_service import RunningService
from guarded_service import KEY, with_fleet
from playwright.sync_api import Page, sync_playwright

from app.client import RigFuseClient
from benchmarks._fleet import Story

WIDTHS = (1440, 1024, 768)
SCHEMES = ("light", "dark")
_TOLD = {
    Story.DRIFTING: "rig-drifting", Story.FAILED: "rig-failed", Story.NOT_PROMOTED: "rig-not-promoted",
    Story.LABELLED: "rig-labelled", Story.BARE: "rig-bare", Story.WELL: "rig-well",
}  # fmt: skip


def main(folder: Path, *chosen: str) -> None:
    """Everything, or the chosen pages, into ``folder``."""
    path = chromium.find()
    if path is None:
        sys.exit(chromium.HOW_TO_GET_ONE)
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, started(playwright, path) as browser:
        for make in (_empty, _full):
            with tempfile.TemporaryDirectory() as scratch, make(Path(scratch)) as (url, pages):
                browsing = Browsing(browser)
                for scheme in SCHEMES:
                    page = browsing.open(url, color_scheme=scheme)
                    page.on("dialog", lambda dialog: dialog.accept())  # a page that is left half done asks
                    _sign_in_page(page, folder, scheme)
                    sign_in(page, KEY)
                    for name, address in _those(chosen, pages):
                        _take(page, folder, f"{name}-{scheme}", address)
                    for name, wrong in _those(chosen, _calibrations()):
                        _take(page, folder, f"{name}-{scheme}", "/new", wrong)
                print(*sorted(set(browsing.close())), sep="\n")


def _those(chosen: tuple[str, ...], pages: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, address) for name, address in pages.items() if not chosen or any(word in name for word in chosen)]


@contextmanager
def _empty(scratch: Path) -> Iterator[tuple[str, dict[str, str]]]:
    service = RunningService(scratch / "data", RIGFUSE_API_KEYS=KEY).up()
    yield service.url, {f"empty-{name}": address for name, address in stories.ANYWHERE.items()}
    service.down()


@contextmanager
def _full(scratch: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with with_fleet(scratch, 400, detailed=True) as (service, fleet), service.client(KEY) as client:
        pages = {name: f"/rigs/{fleet[story][0]}" for story, name in _TOLD.items()}
        told = stories.tell(client, scratch, "Stage 7", cameras=4, frames=40, steps=20)
        pages |= stories.ANYWHERE | told.pages | _adaptations(client, fleet)
        large = client.register_rig(studio.ring_rig(np.random.default_rng(0), 31, "Hall of 31")).id
        running = client.adapt(told.rig, told.capture, options={"steps": 1000}).id
        next(event for event in client.events(running) if event.kind == "progress")
        yield service.url, pages | {"rig-31": f"/rigs/{large}", "adaptation-running": f"/adaptations/{running}"}
        client.cancel(running)


def _adaptations(client: RigFuseClient, fleet: dict[Story, list[str]]) -> dict[str, str]:
    newest = {story: next(client.adaptations(rig=fleet[story][0])) for story in (Story.FAILED, Story.NOT_PROMOTED)}
    return {f"adaptation-{story}": f"/adaptations/{job.id}" for story, job in newest.items()}


def _sign_in_page(page: Page, folder: Path, scheme: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("API key").fill("not-the-key-of-anybody")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    page.screenshot(path=folder / f"sign-in-{scheme}.png")


def _calibrations() -> dict[str, str]:
    rig = studio.ring_rig(np.random.default_rng(0), 8, "In the wrong unit")
    far = [{**camera, "t": [1000 * value for value in camera["t"]]} for camera in rig["cameras"]]
    same = [*rig["cameras"][:-1], {**rig["cameras"][0], "id": "cam08"}]
    plain = {key: value for key, value in rig.items() if key != "volume"}
    return {"new-unit": json.dumps(plain | {"cameras": far}), "new-twice": json.dumps(rig | {"cameras": same})}


def _take(page: Page, folder: Path, name: str, address: str, calibration: str = "") -> None:
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(address)
    if calibration:
        page.get_by_text("Paste or edit its text").click()
        page.get_by_label("The calibration as text").fill(calibration)
        page.get_by_role("button", name="Look at this text").click()
        page.get_by_role("heading", name="What was found").wait_for()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(400)  # the scene draws itself anew
        page.screenshot(path=folder / f"{name}-{width}.png", full_page=True)
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        print(name, width, f"WIDER THAN THE WINDOW BY {overflow} px" if overflow > 0 else "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

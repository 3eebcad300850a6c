"""The main job as a technician does it with the dashboard, in a real browser, with 5,000 rigs behind."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import studio
from browser import Browsing, sign_in
from embedded_service import RunningService, wait_until
from guarded_service import KEY, Fleet, with_fleet
from playwright.sync_api import Locator, Page, expect
from shoots import shoot

from benchmarks._fleet import Story

RIGS = 5000  # as many as a large deployment has
RNG = np.random.default_rng(0)
NAME, CAMERAS = "Zebra loft", 3
MILLIMETRES = 1000.0
VOLUME = {"min 0": "-1200", "min 1": "-1200", "min 2": "0", "max 0": "1200", "max 1": "1200", "max 2": "2000"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A service with thousands of rigs behind it, and their ids by what has become of them."""
    with with_fleet(tmp_path_factory.mktemp("fleet"), RIGS) as made:
        yield made


@pytest.fixture
def busy(fleet: Fleet) -> RunningService:
    """That service."""
    return fleet[0]


def test_the_pages_of_rigs_in_every_state_answer(fleet: Fleet) -> None:
    service, told = fleet
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "text/html"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=30) as browser, service.client(KEY) as client:
        for story, rigs in told.items():
            pages = [f"/rigs/{rigs[0]}", f"/rigs/{rigs[0]}/requests", f"/?q={rigs[0]}"]
            pages += [f"/adaptations/{job.id}" for job in client.adaptations(rig=rigs[0])]
            assert {page: browser.get(page).status_code for page in pages} == dict.fromkeys(pages, 200), story
        assert browser.get(f"/rigs/{told[Story.ARCHIVED][0]}/capture").status_code == 409


def unchanged(page: Page) -> None:
    """Mark a page, so that a reload of it would show."""
    page.evaluate("window.opened_once = true")


def is_unchanged(page: Page) -> bool:
    """Whether it was not loaded anew since."""
    return bool(page.evaluate("window.opened_once === true"))


def is_drawn(canvas: Locator) -> bool:
    """Whether there is something on it."""
    picture = cv2.imdecode(np.frombuffer(canvas.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    return picture is not None and float((picture != np.median(picture)).mean()) > 0.01


def row_of(wall: Page, name: str) -> Locator:
    """The rig's line in the list."""
    return wall.get_by_role("row").filter(has=wall.get_by_role("link", name=name, exact=True))


def test_a_rig_is_adapted_watched_looked_at_rolled_back_and_activated(
    busy: RunningService, browsing: Browsing, tmp_path: Path
) -> None:
    wall = sign_in(browsing.open(busy.url), KEY)
    expect(wall.get_by_role("main")).to_contain_text(re.compile(r"4,\d\d\d of 4,\d\d\d rigs"))
    wall.get_by_role("searchbox").fill(NAME)
    expect(wall.get_by_role("heading", name="No rig is like that")).to_be_visible()
    unchanged(wall)

    page = wall.context.new_page()
    page.goto("/")
    rig = register(page)
    expect(row_of(wall, NAME)).to_contain_text("Drop labelled frames")
    upload(page, busy, rig, tmp_path)
    expect(row_of(wall, NAME)).to_contain_text("40 frames wait")
    page.get_by_role("button", name="Start the adaptation").click()
    watch_it_end(page)
    expect(row_of(wall, NAME)).to_contain_text("Never asked")
    look_at_the_rig(page)
    look_at_a_frame(page)
    roll_back_and_activate(page, wall)
    assert is_unchanged(wall)


def register(page: Page) -> str:
    """Paste a calibration whose unit is wrong, mend it, and register it; the rig's id."""
    page.get_by_role("link", name="New rig").click()
    unchanged(page)
    page.get_by_text("Paste or edit its text").click()
    page.get_by_label("The calibration as text").fill(
        json.dumps(scaled(studio.ring_rig(RNG, CAMERAS, NAME), MILLIMETRES))
    )
    page.get_by_role("button", name="Look at this text").click()
    findings = page.locator("#findings")
    expect(findings).to_contain_text("is the unit right?")
    expect(page.get_by_role("button", name="Register the rig")).to_be_disabled()
    findings.get_by_role("button", name="Read the calibration in mm").click()
    expect(findings).not_to_contain_text("is the unit right?")
    wait_until(lambda: is_drawn(page.locator("#new-scene canvas")), 30)
    for corner, value in VOLUME.items():
        page.locator(f"[data-volume='{corner}']").fill(value)
    page.get_by_role("button", name="Register the rig").click()
    expect(page).to_have_url(re.compile("/rigs/rig_.*/capture"))
    return page.url.split("/")[-2]


def upload(page: Page, service: RunningService, rig: str, folder: Path) -> None:
    """Drop labels and heatmaps, and read what they cover."""
    with service.client(KEY) as client:
        document = client.rig(rig).model_dump(mode="json")
    assert (document["units"], document["volume"]["max"]) == ("mm", [1200, 1200, 2000])
    footage = studio.film(RNG, scaled(document, 1 / MILLIMETRES), 40)
    files = [footage.write_labels(folder / "labels.json"), footage.write_heatmaps(folder / "heatmaps.npz")]
    page.locator("#frames-files").set_input_files(files)
    expect(page.locator("#files")).to_contain_text("40 labelled frames")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("#coverage")).to_contain_text("40 distinct poses")
    expect(page.get_by_role("heading", name="Adaptation")).to_be_focused()
    assert is_unchanged(page)


def scaled(rig: studio.Document, factor: float) -> studio.Document:
    """The same cameras in another unit, and no volume."""
    cameras = [{**camera, "t": [factor * value for value in camera["t"]]} for camera in rig["cameras"]]
    return {key: value for key, value in rig.items() if key != "volume"} | {"cameras": cameras}


def watch_it_end(page: Page) -> None:
    """The page of an adaptation tells how far it is, then how it ended."""
    expect(page).to_have_url(re.compile("/adaptations/ada_"))
    unchanged(page)
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("Promoted|serves"))).to_be_visible(timeout=90_000)
    expect(page.get_by_role("main")).to_contain_text("No-Fusion")
    assert is_unchanged(page)


def look_at_the_rig(page: Page) -> None:
    """Its cameras in space, its pairs, its figures."""
    page.get_by_role("main").get_by_role("link", name=NAME).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    wait_until(lambda: is_drawn(page.locator("#rig-view canvas")), 30)
    expect(page.locator("table.matrix td:not(.self)")).to_have_count(CAMERAS * (CAMERAS - 1))
    page.locator("table.matrix td:not(.self)").first.hover()
    expect(page.locator("#pairs-told")).to_contain_text("cam01 told by cam02")


def look_at_a_frame(page: Page) -> None:
    """Step through the frames of the capture, and see where a place in one view lies in the others."""
    page.get_by_role("link", name="Frames", exact=True).click()
    expect(page.locator("#place")).to_have_text("1 of 40")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#place")).to_have_text("2 of 40")
    tiles = page.locator("#tiles > *")
    expect(tiles).to_have_count(CAMERAS)
    expect(page.locator("#tiles .epipolar")).to_have_count(0)
    tiles.first.hover()
    expect(page.locator("#tiles .epipolar")).to_have_count(CAMERAS - 1)
    wait_until(lambda: is_drawn(page.locator("#scene canvas")), 30)
    page.go_back()


def roll_back_and_activate(page: Page, wall: Page) -> None:
    """Both are asked twice, and everybody sees them at once."""
    unchanged(page)
    page.get_by_role("button", name="Roll back …").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave it as it is").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Roll back …").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("button", name="Activate …")).to_be_visible()
    expect(row_of(wall, NAME)).to_contain_text("No checkpoint")
    page.get_by_role("button", name="Activate …").click()
    page.get_by_role("dialog").get_by_label("Why").fill("It was good after all")
    page.get_by_role("dialog").get_by_role("button", name="Activate").click()
    expect(page.get_by_role("button", name="Roll back …")).to_be_visible()
    expect(row_of(wall, NAME)).to_contain_text("Never asked")
    page.get_by_text("What the rig was served with").click()
    expect(page.get_by_role("cell", name="It was good after all")).to_be_visible()
    assert is_unchanged(page)


def test_an_adaptation_is_cancelled_and_tried_again(busy: RunningService, browsing: Browsing, tmp_path: Path) -> None:
    with busy.client(KEY) as client:
        made = shoot(client, tmp_path)
        job = client.adapt(made.rig_id, made.capture, options={"steps": 1000})
    page = sign_in(browsing.open(busy.url), KEY, f"/adaptations/{job.id}")
    unchanged(page)
    cancel(page)
    assert is_unchanged(page)
    page.get_by_role("button", name="Try again").click()
    expect(page).not_to_have_url(re.compile(job.id))
    expect(page.get_by_role("link", name=job.id)).to_be_visible()  # which it repeats
    cancel(page)


def cancel(page: Page) -> None:
    """Ask for it, and see it end."""
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()

"""Every page of the dashboard in a real browser: open to everybody, light, true without a reload, whatever happens."""

import os
import re
import signal

import numpy as np
import studio
from browser import Browsing, changes, serious, sign_in, transferred, wait_until_live
from embedded_service import RunningService, wait_until
from guarded_service import KEY
from playwright.sync_api import Locator, Page, expect
from stories import ANYWHERE, MARKUP, Story

MOST_BYTES = 300_000
TABS = 8  # a browser opens six connections to a host
_LOOK_AWAY = """(hidden) => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_every_page_keeps_nobody_out_in_light_and_dark_and_is_light(
    guarded: RunningService, marked: Story, browsing: Browsing
) -> None:
    page = sign_in(browsing.open(guarded.url, color_scheme="light"), KEY)
    cache = page.context.new_cdp_session(page)
    found, heavy = [], []
    for name, path in (ANYWHERE | marked.pages).items():
        cache.send("Network.clearBrowserCache")
        page.emulate_media(color_scheme="light")
        page.goto(path)
        wait_until_live(page)
        unfold(page)
        heavy += [f"{name}: {size:,} bytes"] if (size := transferred(page)) >= MOST_BYTES else []
        found += [f"{name}: {finding}" for finding in serious(page)]
        page.emulate_media(color_scheme="dark")
        found += [f"{name}, dark: {finding}" for finding in serious(page, "color-contrast")]
    assert found == []
    assert heavy == []


def unfold(page: Page) -> None:
    """Open whatever is folded away."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


def test_a_rig_is_found_and_rolled_back_with_the_keyboard_alone(
    guarded: RunningService, marked: Story, browsing: Browsing
) -> None:
    page = sign_in(browsing.open(guarded.url), KEY)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    go_to(page, page.get_by_role("searchbox"))
    page.keyboard.type("onerror")
    expect(page.get_by_role("caption")).to_have_text("1 rig found")
    go_to(page, page.get_by_role("link", name=MARKUP))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(marked.pages["rig"]))
    for act, undone in (("Roll back", "Activate"), ("Activate", "Roll back")):
        go_to(page, page.get_by_role("button", name=f"{act} …"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("button", name=f"{act} …")).to_be_focused()
        page.keyboard.press("Enter")
        go_to(page, page.get_by_role("dialog").get_by_role("button", name=act))
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=f"{undone} …")).to_be_visible()


def go_to(page: Page, wanted: Locator, most: int = 150) -> None:
    """Press the tabulator until it is there."""
    for _ in range(most):
        if wanted.evaluate_all("(found) => found.includes(document.activeElement)"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} cannot be reached with the tabulator")


def test_what_is_typed_stays_and_what_is_asked_is_about_what_is_there(
    guarded: RunningService, marked: Story, browsing: Browsing
) -> None:
    browsing.tolerate("status of 409", "Status Error Code 409")
    page = sign_in(browsing.open(guarded.url), KEY, marked.pages["rig"])
    wait_until_live(page)
    page.get_by_text("Change name, tags and notes").click()
    page.get_by_label("Name").fill("Half a na")
    page.get_by_label("Tags").focus()
    page.get_by_role("button", name="Roll back …").click()
    with guarded.client(KEY) as client:
        client.roll_back(marked.rig)  # somebody else, meanwhile
        expect(page.locator("#next-title + p")).to_contain_text("no checkpoint is active")
        page.get_by_role("dialog").get_by_role("button", name="Roll back").dblclick()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Roll back …")).to_have_count(0)
        assert page.get_by_label("Name").input_value() == "Half a na"
        page.get_by_role("button", name="Activate …").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Activate").dblclick()
        expect(page.get_by_role("button", name="Roll back …")).to_be_visible()
        assert page.evaluate("document.activeElement.id") == "checkpoints"
        assert client.rig(marked.rig).active_checkpoint == marked.checkpoint


def test_more_tabs_than_a_browser_has_connections_all_work(
    guarded: RunningService, marked: Story, browsing: Browsing
) -> None:
    tabs = [sign_in(browsing.open(guarded.url), KEY)]
    while len(tabs) < TABS:
        wait_until_live(tabs[-1])
        tabs[-1].evaluate(_LOOK_AWAY, True)
        tabs.append(tabs[0].context.new_page())
        tabs[-1].goto(marked.pages["rig"])
    before = changes(tabs[0])
    tabs[-1].evaluate(_LOOK_AWAY, True)
    tabs[0].evaluate(_LOOK_AWAY, False)
    with guarded.client(KEY) as client:
        client.update_rig(marked.rig, notes="Seen in the first tab again")
        client.roll_back(marked.rig)
        expect(tabs[0].get_by_role("row", name=re.compile("onerror"))).to_contain_text("No checkpoint")
        client.activate(marked.checkpoint)
    assert changes(tabs[0]) > before
    assert all(changes(tab) for tab in tabs)


def test_a_page_goes_on_by_itself_when_the_service_is_back(guarded: RunningService, browsing: Browsing) -> None:
    browsing.tolerate("ERR_", "50[23]")
    page = sign_in(browsing.open(guarded.url), KEY, "/?q=Back+again")
    wait_until_live(page)
    page.evaluate("window.opened_once = true")
    died = guarded.child("app.cli api")
    os.kill(died, signal.SIGKILL)
    wait_until(lambda: any("app.cli api" in command for pid, command in guarded.processes().items() if pid != died), 30)
    with guarded.client(KEY) as client:
        wait_until(client.ready, 30)
        client.register_rig(studio.ring_rig(np.random.default_rng(0), 2, "Back again"))
    expect(page.get_by_role("link", name="Back again")).to_be_visible()
    expect(page.locator("#offline")).to_be_hidden()
    assert page.evaluate("window.opened_once")

"""The dashboard in a real browser, for who may do less, or means ill: keys, scopes, other sites, names with markup."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from browser import Browsing, serious, sign_in, wait_until_live
from embedded_service import RunningService
from guarded_service import KEY as ROOT_KEY
from guarded_service import MakeKey
from playwright.sync_api import expect
from stories import ANYWHERE, MARKUP, Story, tell

SIGN_IN = re.compile("/sign-in")
REFUSED = "status of (401|403|404)"
ELSEWHERE = ["localhost", "127.0.0.1"]  # the second is the same site on another port: its cookies come along
_FORM = "<form method=post action={action}><input name=seen value={seen}><button>Win a rig</button></form>"
_POST = """async (address) => {
    const headers = {"Content-Type": "text/plain"}, body = "{}";
    const sent = {method: "POST", mode: MODE, credentials: "include", headers, body};
    return await fetch(address, sent).then((answer) => answer.status, String);
}"""
_FROM_ELSEWHERE, _FROM_HERE = _POST.replace("MODE", '"no-cors"'), _POST.replace("MODE", '"same-origin"')


def test_who_signs_in_gets_where_they_wanted_and_who_signs_out_is_out(
    guarded: RunningService, browsing: Browsing
) -> None:
    browsing.tolerate(REFUSED)
    page = browsing.open(guarded.url)
    page.goto("/?q=x")
    expect(page).to_have_url(SIGN_IN)
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type("not-the-key-of-anybody")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known")
    assert serious(page) == []
    page.get_by_label("API key").fill(ROOT_KEY)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/\?q=x$"))
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(SIGN_IN)
    page.goto("/")
    expect(page).to_have_url(SIGN_IN)


@contextmanager
def serving_elsewhere(page: str) -> Iterator[int]:
    """A server that answers everything with one page; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_pages_of_other_sites_change_nothing(
    guarded: RunningService, marked: Story, browsing: Browsing, elsewhere: str
) -> None:
    browsing.tolerate(REFUSED, f"elsewhere: http://{elsewhere}:", "ERR_BLOCKED_BY_RESPONSE")
    page = sign_in(browsing.open(guarded.url), ROOT_KEY)
    trap = _FORM.format(action=f"{guarded.url}/rigs/{marked.rig}/rollback", seen=marked.checkpoint)
    with serving_elsewhere(trap) as port:
        for path in ("/sign-out", f"/v1/rigs/{marked.rig}/rollback"):
            page.goto(f"http://{elsewhere}:{port}/")
            with page.expect_request(guarded.url + path):
                assert "TypeError" in page.evaluate(
                    _FROM_ELSEWHERE, guarded.url + path
                )  # nothing of the answer is told
        page.get_by_role("button", name="Win a rig").click()
        expect(page).to_have_url(re.compile(re.escape(guarded.url)))
    with guarded.client(ROOT_KEY) as client:
        assert client.rig(marked.rig).active_checkpoint == marked.checkpoint
    page.goto("/")  # and who was signed in still is
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_names_with_markup_show_as_text_on_every_page(
    guarded: RunningService, marked: Story, browsing: Browsing, make_key: MakeKey
) -> None:
    page = sign_in(browsing.open(guarded.url), make_key("read", "write", "admin").key)
    for path in (ANYWHERE | marked.pages).values():
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        wait_until_live(page)
        assert page.locator("img[src='x']").count() == 0, path
        assert MARKUP in page.locator("body").inner_text(), path  # at least the name of the key
        assert page.title() != "struck", path
    page.goto(marked.pages["rig"])
    expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)


def test_who_may_only_look_is_offered_no_act_and_refused_each(
    guarded: RunningService, marked: Story, browsing: Browsing, make_key: MakeKey
) -> None:
    browsing.tolerate(REFUSED)
    page = sign_in(browsing.open(guarded.url), make_key("read").key)
    for name in ("rig", "adaptation", "frames"):
        page.goto(marked.pages[name])
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.locator("main form[method=post]").count() == 0, name
        expect(page.get_by_role("link", name="New rig")).to_have_count(0)
    for path in (f"/rigs/{marked.rig}/rollback", f"/v1/rigs/{marked.rig}/rollback", f"/rigs/{marked.rig}/archive"):
        assert page.evaluate(_FROM_HERE, path) == 403, path
    with guarded.client(ROOT_KEY) as client:
        rig = client.rig(marked.rig)
    assert (rig.active_checkpoint, rig.archived_at) == (marked.checkpoint, None)


def test_a_studio_sees_its_own_rigs_only(
    guarded: RunningService, marked: Story, browsing: Browsing, make_key: MakeKey, tmp_path: Path
) -> None:
    browsing.tolerate(REFUSED)
    key = make_key("read", "write", studio="north").key
    with guarded.client(key) as client:
        own = tell(client, tmp_path, "North stage", steps=0)
    page = sign_in(browsing.open(guarded.url), key)
    expect(page.get_by_role("link", name="North stage")).to_be_visible()
    expect(page.get_by_role("link", name=MARKUP)).to_have_count(0)
    for path in marked.pages.values():
        assert page.goto(path).status == 404, path  # type: ignore[union-attr]
    assert page.evaluate(_FROM_HERE, f"/rigs/{marked.rig}/rollback") == 404
    for path in own.pages.values():
        assert page.goto(path).status == 200, path  # type: ignore[union-attr]
    page.goto("/operations")
    expect(page.get_by_role("main")).not_to_contain_text(marked.adaptation)


def test_a_revoked_key_ends_the_stream_and_asks_who_is_there(
    guarded: RunningService, marked: Story, browsing: Browsing, make_key: MakeKey
) -> None:
    browsing.tolerate(REFUSED)
    made = make_key("read")
    page = browsing.open(guarded.url)
    sign_in(page, made.key)
    wait_until_live(page)
    with guarded.client(ROOT_KEY) as client:
        client.revoke_key(made.id)
    expect(page).to_have_url(SIGN_IN)
    page.goto(marked.pages["rig"])
    expect(page).to_have_url(SIGN_IN)


def test_pages_can_be_read_without_scripts(guarded: RunningService, marked: Story, browsing: Browsing) -> None:
    page = sign_in(browsing.open(guarded.url, java_script_enabled=False), ROOT_KEY)
    for path in (ANYWHERE | marked.pages).values():
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.goto("/")
    page.get_by_role("searchbox").fill("no rig has this name")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="No rig is like that")).to_be_visible()


def test_pages_and_files_say_what_browsers_are_to_hold_them_to(guarded: RunningService, marked: Story) -> None:
    headers = {"Authorization": f"Bearer {ROOT_KEY}", "Accept": "text/html"}
    for path in (ANYWHERE | marked.pages).values():
        policy = httpx.get(guarded.url + path, headers=headers).headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path

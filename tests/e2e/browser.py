"""A real browser that watches every page it opens: whatever a page must not do fails the test.

Faults are errors on the console (a breach of the Content-Security-Policy is one), exceptions, requests that fail or are
answered 5xx, and every request to another host.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from embedded_service import wait_until
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request, Response, expect

PATIENCE_MS = 30_000
_AXE = Path(__file__).parent / "vendor/axe-core/axe.min.js"
_ARGUMENTS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a GPU
_OWN = ("data", "blob")
_LEFT = "net::ERR_ABORTED"  # a page was left, or closed its stream
_COUNT_CHANGES = "addEventListener('live:changed', () => { window.changes = (window.changes ?? 0) + 1; })"
_BYTES = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter((entry) => !entry.name.includes("/vendor/three/") && entry.initiatorType !== "fetch")
    .reduce((sum, entry) => sum + entry.transferSize, 0)"""

expect.set_options(timeout=PATIENCE_MS)


class Browsing:
    """Opens pages in browser profiles of their own, and keeps what went wrong in any of them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._tolerated: list[re.Pattern[str]] = []
        self._faults: list[str] = []

    def open(self, url: str, **options: Any) -> Page:
        """An empty page of a new profile, for which ``url`` is home."""
        context = self._browser.new_context(base_url=url, **options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("console", lambda line: line.type == "error" and self._blame(f"console: {line.text}"))
        context.on("weberror", lambda error: self._blame(f"exception: {error.error}"))
        context.on("request", lambda request: self._look_where_to(request, urlsplit(url).netloc))
        context.on("requestfailed", self._look_why)
        context.on("response", self._look_at_status)
        context.add_init_script(_COUNT_CHANGES)
        self._contexts.append(context)
        return context.new_page()

    def tolerate(self, *patterns: str) -> None:
        """What a test provokes is no fault."""
        self._tolerated += [re.compile(pattern) for pattern in patterns]

    def close(self) -> list[str]:
        """Close all; what went wrong."""
        for context in self._contexts:
            context.close()
        return [fault for fault in self._faults if not any(known.search(fault) for known in self._tolerated)]

    def _blame(self, fault: str) -> None:
        self._faults.append(fault)

    def _look_where_to(self, request: Request, home: str) -> None:
        to = urlsplit(request.url)
        if to.scheme not in _OWN and to.netloc != home:
            self._blame(f"request to elsewhere: {request.url}")

    def _look_why(self, request: Request) -> None:
        if request.failure != _LEFT:
            self._blame(f"failed: {request.method} {request.url}: {request.failure}")

    def _look_at_status(self, response: Response) -> None:
        if response.status >= 500:
            self._blame(f"answered {response.status}: {response.request.method} {response.url}")


@contextmanager
def started(playwright: Playwright, path: str) -> Iterator[Browser]:
    """The browser at ``path``, without a window."""
    browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
    yield browser
    browser.close()


def sign_in(page: Page, key: str, to: str = "/") -> Page:
    """Sign in with a key, as a person would, on the way to a page."""
    page.goto(to)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(f"{re.escape(to)}$"))
    return page


def changes(page: Page) -> int:
    """How often the page was put right since it was opened."""
    return int(page.evaluate("window.changes ?? 0"))


def wait_until_live(page: Page) -> None:
    """Wait until the page's stream has brought its first version, where it has a stream."""
    if page.locator("[data-live]").count():
        wait_until(lambda: changes(page) > 0, PATIENCE_MS / 1000)


def serious(page: Page, *rules: str) -> list[str]:
    """What axe finds on a page that keeps people out: its serious and critical findings, of all rules or of these."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(_AXE.read_text())
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = page.evaluate("(options) => axe.run(document, options)", options)["violations"]
    return [
        f"{violation['id']}: {violation['help']}: {node['target']} {node['failureSummary']}"
        for violation in found
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


def transferred(page: Page) -> int:
    """Bytes that came over the wire for a page, less the 3D library and the footage that it goes on to fetch."""
    return int(page.evaluate(_BYTES))

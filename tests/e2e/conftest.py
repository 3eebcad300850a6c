"""Running services."""

from collections.abc import Callable, Iterator
from pathlib import Path

import chromium
import pytest
from browser import Browsing, started
from embedded_service import RunningService
from guarded_service import KEY, MakeKey, asking_for_keys
from otlp import Collector, collecting
from playwright.sync_api import Browser, sync_playwright
from stories import MARKUP, Story, tell

from app.access.schemas import KeyMade


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the shared service sends its traces."""
    with collecting() as running:
        yield running


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[RunningService]:
    """One service for the tests that do not hurt it."""
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    service = RunningService(tmp_path_factory.mktemp("shared") / "data", **traced).up()
    yield service
    assert service.down() == 0


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Callable[[], RunningService]]:
    """Makes services for one test, which may hurt them; nothing of them is left afterwards."""
    made: list[RunningService] = []

    def make() -> RunningService:
        made.append(RunningService(tmp_path / "data"))
        return made[-1]

    yield make
    for service in made:
        service.kill_everything()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module: while it runs, its thread can run no other event loop."""
    path = chromium.find()
    if path is None:
        pytest.skip(chromium.HOW_TO_GET_ONE)
    with sync_playwright() as playwright, started(playwright, path) as running:
        yield running


@pytest.fixture
def browsing(browser: Browser) -> Iterator[Browsing]:
    """Opens pages for one test, which fails where one of them did what it must not."""
    opened = Browsing(browser)
    yield opened
    assert opened.close() == []


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that asks for keys, for the tests that do not hurt it."""
    service = asking_for_keys(tmp_path_factory.mktemp("guarded") / "data").up()
    yield service
    assert service.down() == 0


@pytest.fixture(scope="session")
def marked(guarded: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A rig with a history, and with markup in every name."""
    with guarded.client(KEY) as client:
        return tell(client, tmp_path_factory.mktemp("marked"), MARKUP)


@pytest.fixture
def make_key(guarded: RunningService) -> MakeKey:
    """Makes a key; its own name has markup in it too."""

    def make(*scopes: str, studio: str = "") -> KeyMade:
        with guarded.client(KEY) as client:
            return client.create_key(MARKUP, scopes, studio=studio)

    return make

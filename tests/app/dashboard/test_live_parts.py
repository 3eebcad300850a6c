"""The part of a page that is kept true: when it is sent, to whom, and for how long."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from queue import Empty, Queue

import httpx
import payloads
import pytest
from keyholders import guarded, holder, make_key
from running import Service

from app.dashboard.static_files import static_files
from app.settings import Settings
from models.worlds import World

WITHIN_S = 20.0
QUIET_S = 2.0


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with guarded(make_settings()) as running:
        yield running


class Listener:
    """Somebody who looks at the rigs page."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer, self._parts = answer, Queue[str]()
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def part(self, within_s: float = WITHIN_S) -> str:
        """The next part; raises Empty where none comes."""
        return self._parts.get(timeout=within_s)

    def until(self, told: str) -> str:
        """The first part that tells this."""
        deadline = time.monotonic() + WITHIN_S
        while told not in (part := self.part(max(0.1, deadline - time.monotonic()))):
            pass
        return part

    def _listen(self) -> None:
        lines: list[str] = []
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError):  # we went away
            for line in self._answer.iter_lines():
                if line.startswith("data: "):
                    lines.append(line.removeprefix("data: "))
                elif not line and lines:
                    self._parts.put("\n".join(lines))
                    lines.clear()


@contextlib.contextmanager
def looking(service: Service, key: str) -> Iterator[Listener]:
    """Look at the rigs page with a key."""
    with holder(service, key) as client, client.stream("GET", "/live/rigs", timeout=2 * WITHIN_S) as answer:
        page = Listener(answer)
        try:
            yield page
        finally:
            answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            page.thread.join(WITHIN_S)


def test_a_part_comes_when_something_happened_and_not_before(service: Service, world: World) -> None:
    with looking(service, make_key(service, "read")["key"]) as page:
        assert "No rig yet" in page.part()
        with pytest.raises(Empty):
            page.part(QUIET_S)
        service.register(world, "<b>first</b>")
        assert "&lt;b&gt;first&lt;/b&gt;" in page.until("first")


def test_a_part_says_which_styles_and_scripts_it_is_made_for(service: Service) -> None:
    with service.client.stream("GET", "/live/rigs") as answer:
        assert f"id: {static_files().digest}" in islice(answer.iter_lines(), 3)


def test_a_studio_hears_of_its_own_rigs_only(service: Service, world: World) -> None:
    key = make_key(service, "read", "write", studio="north")["key"]
    with looking(service, key) as page, holder(service, key) as client:
        page.part()
        service.register(world, "of nobody")
        sent = client.post("/v1/rigs", json=payloads.rig_document(world.rig, "of the north"))
        assert sent.status_code == 201
        assert "of nobody" not in page.until("of the north")


def test_it_ends_with_the_key(service: Service) -> None:
    made = make_key(service, "read")
    with looking(service, made["key"]) as page:
        page.part()
        service.client.delete(f"/v1/keys/{made['id']}")
        page.thread.join(WITHIN_S)
        assert not page.thread.is_alive()

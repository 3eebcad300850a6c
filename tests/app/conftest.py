"""The service as it is deployed: real HTTP, a real database, a real broker."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import payloads
import pytest
from running import Service, serving
from sqlalchemy import make_url

from app.db import Database
from app.settings import Settings
from models.worlds import World


@pytest.fixture(scope="session")
def make_settings(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory, migrated: Callable[[str], str]
) -> Callable[..., Settings]:
    """Settings of an embedded service with a data directory of its own, and a database there that is migrated."""

    def make(**changed: Any) -> Settings:
        values = {"data_dir": tmp_path_factory.mktemp("data"), "broker_url": redis_url, "environment": "embedded",
                  "failed_keys_per_minute": 1_000_000}  # fmt: skip  # all tests come from one address
        settings = Settings(**(values | changed))
        path = settings.data_dir / "rigfuse.db"
        if settings.database_url == f"sqlite:///{path}" and settings.data_dir.is_dir() and not path.exists():
            shutil.copyfile(make_url(migrated("sqlite")).database or "", path)
        return settings

    return make


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def service(
    request: pytest.FixtureRequest,
    make_settings: Callable[..., Settings],
    new_database_url: Callable[[str], str],
) -> Iterator[Service]:
    """The service on each kind of database, shared by the tests: each registers rigs of its own."""
    with serving(make_settings(database_url=new_database_url(request.param))) as running:
        yield running


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database for one test, which runs on both kinds."""
    made = Database(Settings(database_url=database_url).database_url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def world() -> World:
    """A small world of three cameras and ten frames."""
    return payloads.world()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that need no server."""
    return Settings(data_dir=tmp_path, environment="embedded")

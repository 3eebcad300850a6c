"""The service as it is deployed: real HTTP, a real database, a real broker."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import payloads
import pytest
from running import Service, serving

from app.settings import Settings
from models.worlds import World


@pytest.fixture(scope="session")
def make_settings(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Settings]:
    """Settings of an embedded service with a data directory of its own."""

    def make(**changed: Any) -> Settings:
        values = {"data_dir": tmp_path_factory.mktemp("data"), "broker_url": redis_url, "environment": "embedded",
                  "failed_keys_per_minute": 1_000_000}  # fmt: skip  # all tests come from one address
        return Settings(**(values | changed))

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


@pytest.fixture(scope="session")
def world() -> World:
    """A small world of three cameras and ten frames."""
    return payloads.world()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that need no server."""
    return Settings(data_dir=tmp_path, environment="embedded")

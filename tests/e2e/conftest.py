"""Running services."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from embedded_service import RunningService


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for the tests that do not hurt it."""
    service = RunningService(tmp_path_factory.mktemp("shared") / "data").up()
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

"""Running services."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from embedded_service import RunningService
from otlp import Collector, collecting


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

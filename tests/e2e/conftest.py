"""A running service, and a rig with a capture in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import studio
from embedded_service import RunningService

from app.client import RigFuseClient


@dataclass(frozen=True)
class Shoot:
    """A registered rig with an uploaded capture; ``rig`` is what the service answers."""

    rig: studio.Document
    capture: str
    folder: Path

    @property
    def rig_id(self) -> str:
        return str(self.rig["id"])


def shoot(client: RigFuseClient, folder: Path, cameras: int = 2, frames: int = 20, seed: int = 0) -> Shoot:
    """Register a rig and upload a capture of it."""
    rng = np.random.default_rng(seed)
    rig = client.rig(client.register_rig(studio.ring_rig(rng, cameras))["id"])
    footage = studio.film(rng, rig, frames)
    labels = footage.write_labels(folder / "labels.json")
    capture = client.upload_capture(rig["id"], labels, heatmaps=footage.write_heatmaps(folder / "heatmaps.npz"))
    return Shoot(rig, capture["id"], folder)


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

"""Services that ask for keys, also with a fleet behind: thousands of rigs, as after months of work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded_service import RunningService
from sqlalchemy import update

from app.access.schemas import KeyMade
from app.db import Database
from app.settings import Settings
from app.tables import AdaptationRow, utc_now
from benchmarks._fleet import Story, seed

Fleet = tuple[RunningService, dict[Story, list[str]]]
MakeKey = Callable[..., KeyMade]
KEY = "the-key-of-the-settings"
_UNDER_WAY = ("queued", "running")


def asking_for_keys(data: Path) -> RunningService:
    """A service, not yet started, that asks for a key."""
    return RunningService(data, RIGFUSE_API_KEYS=KEY, RIGFUSE_REQUEST_FRAME_INTERVAL_S="0.1")


@contextmanager
def with_fleet(folder: Path, rigs: int, *, detailed: bool = False) -> Iterator[Fleet]:
    """Such a service, which asks for keys, and the ids of the rigs by story."""
    data = folder / "data"
    database = Database(Settings(data_dir=data, environment="embedded").database_url)
    database.upgrade()
    made = seed(database, rigs, detailed=detailed)
    with database.session() as session:  # else a worker would take them, and find no footage
        given_up = {"state": "cancelled", "stage": "done", "eta_s": None, "finished_at": utc_now()}
        session.execute(update(AdaptationRow).where(AdaptationRow.state.in_(_UNDER_WAY)).values(given_up))
    database.dispose()
    service = asking_for_keys(data).up()
    try:
        yield service, made
        assert service.down() == 0
    finally:
        service.kill_everything()

"""A worker applies the retention policy by itself, and survives what goes wrong meanwhile."""

import threading
import time
from dataclasses import replace
from datetime import timedelta

from job_rows import add_capture, add_rig

from app.tables import CaptureRow, utc_now
from worker.context import WorkerContext
from worker.housekeeping import Housekeeper


def purged(context: WorkerContext, capture: str) -> bool:
    with context.db.read_session() as session:
        return session.get_one(CaptureRow, capture).purged_at is not None


def test_it_purges_what_is_due_again_and_again(context: WorkerContext) -> None:
    settings = context.settings.model_copy(update={"capture_retention_days": 30, "housekeeping_s": 0.05})
    worker = replace(context, settings=settings, stopping=threading.Event())
    housekeeper = Housekeeper(worker)
    housekeeper.start()
    rig = add_rig(context.db)
    for _ in range(2):
        capture = add_capture(context.db, rig, created_at=utc_now() - timedelta(days=31))
        deadline = time.monotonic() + 20
        while not purged(context, capture):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (context.artifacts.root / "incoming").rename(context.artifacts.root / "away")  # the next sweep fails
        time.sleep(0.2)
        (context.artifacts.root / "away").rename(context.artifacts.root / "incoming")
    worker.stopping.set()
    housekeeper.join(10)
    assert not housekeeper.is_alive()

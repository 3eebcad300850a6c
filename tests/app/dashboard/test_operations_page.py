"""The operations page: workers, queues, causes of failures and what needs somebody."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from job_rows import add_job, add_rig
from keyholders import guarded, new_holder
from running import Service, serving

from app import totals
from app.dashboard.operations import reading
from app.dashboard.operations.wellbeing import Disk
from app.db import Database
from app.doctor.findings import Mark
from app.settings import Settings
from app.tables import CaptureRow, WorkerRow, utc_now
from benchmarks._fleet_work import seed_work

MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def database(database_url: str) -> Database:
    made = Database(Settings(database_url=database_url).database_url)
    made.upgrade()
    return made


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """One of its own: its rigs are none that the API could describe."""
    with serving(settings) as running:
        yield running


def test_what_the_database_tells_of_work(database: Database) -> None:
    rig, now = add_rig(database), utc_now()
    running = add_job(database, rig, state="running", stage="finetune", progress=0.5)
    add_job(database, rig, priority="batch", created_at=now - timedelta(hours=2))
    for hours, error in (
        (1, {"code": "a"}),
        (30, {"code": "b", "cause": "a"}),
        (40, {"code": "c"}),
        (400, {"code": "c"}),
    ):
        add_job(database, rig, state="failed", error=error, created_at=now - timedelta(hours=hours))
    add_job(database, rig, state="failed", error=None)
    seed_work(database, running=running, now=now)
    with database.session() as session:
        session.query(CaptureRow).update({"size_bytes": 1000})
    with database.read_session() as session:
        workers = reading.workers(session, 60)
        assert [worker.state for worker in workers] == ["alive", "alive", "silent", "stopped"]
        busy = next(worker for worker in workers if worker.job)
        assert (busy.row.host, busy.job.id, busy.job.rig) == ("gpu-1", running, "studio")
        assert [worker.row.host for worker in workers if worker.other_version] == ["gpu-2"]
        told = {queue.priority: (queue.queued, queue.running, queue.oldest) for queue in reading.queues(session)}
        assert told["interactive"] == (0, 1, None)
        assert told["batch"] == (1, 0, now - timedelta(hours=2))
        assert reading.outcomes(session, now)["failed"] == (2, 4)
        causes = [(failure.code, failure.count) for failure in reading.failures(session, now)]
        assert causes == [("a", 2), ("unknown", 1), ("c", 1)]
        stages = reading.stages(session)
        assert stages[0].name == "finetune"
        assert sum(stage.share for stage in stages) == pytest.approx(1)
        assert reading.stored(session).kinds["Captures"] == (7, 7000)
    database.dispose()


def test_the_median_lies_in_the_bucket_of_the_middle_value() -> None:
    def of(*counts: tuple[str, float]) -> float:
        return totals.median(totals.Distribution(counts, 0.0))

    assert of(("1", 0), ("2", 10), ("4", 10), ("+Inf", 10)) == pytest.approx(1.5)
    assert of(("1", 1), ("2", 1), ("4", 5), ("+Inf", 5)) == pytest.approx(2.75)
    assert of(("1", 0), ("2", 0), ("+Inf", 4)) == pytest.approx(3.0)
    assert of(("1", 0), ("+Inf", 0)) == 0.0


@pytest.mark.parametrize(("free", "mark"), [(99, Mark.BAD), (700, Mark.WARNING), (900, Mark.GOOD)])
def test_a_disk_says_so_before_it_refuses(free: int, mark: Mark) -> None:
    assert Disk("Data", "/data", free, 10_000, least=100).mark is mark


def test_the_page_tells_what_needs_somebody_and_markup_shows_as_text(service: Service) -> None:
    database = service.app.state.db
    add_job(database, state="failed", error={"code": "broken", "detail": MARKUP})
    add_job(database, state="failed", error={"code": "odd"})
    with database.session() as session:
        session.merge(WorkerRow(id=MARKUP, host=MARKUP, pid=1, version="0.0.1", device="NVIDIA", memory_free=None))
    answer = service.client.get("/operations")
    assert answer.status_code == 200
    page = answer.text
    assert MARKUP not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert "run the same release everywhere" in page
    assert "<code>broken</code>" in page
    assert "0003" in page
    with service.client.stream("GET", "/operations/live") as stream:
        assert any("run the same release everywhere" in line for line in stream.iter_lines())


def test_a_broker_that_is_away_is_told_and_the_page_stands(settings: Settings) -> None:
    away = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with serving(away) as running:
        page = running.client.get("/operations").text
        assert "The broker does not answer" in page
        assert "is RIGFUSE_BROKER_URL right" in page
        assert "none has reported itself lately" in page


def test_the_key_of_a_studio_is_told_why_not(settings: Settings) -> None:
    with guarded(settings) as running:
        with new_holder(running, studio="north") as client:
            answer = client.get("/operations", headers={"Accept": "text/html"})
            assert answer.status_code == 403
            assert "This tells of all studios" in answer.text
            assert "<h1>" in answer.text
            assert client.get("/operations/live").status_code == 403
        with new_holder(running, ["read"]) as client:
            assert client.get("/operations").status_code == 200

"""The pages of adaptations: what they show, what can be done there, and by whom."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from job_rows import add_job, get_job
from keyholders import guarded, holder, make_key
from running import Service

from app.adaptations import curves, leases, states
from app.adaptations.curves import Curve
from app.dashboard.adaptation.reading import read
from app.db import Database
from app.settings import Settings
from app.tables import AdaptationRow, CheckpointRow, new_id, utc_now
from models.worlds import World

NAME = "<b>Stage</b> & <script>alert('x')</script>"
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with guarded(make_settings()) as running:
        yield running


@pytest.fixture(scope="module")
def rig(service: Service, world: World) -> str:
    return service.register(world, NAME)


@pytest.fixture
def db(service: Service) -> Database:
    return service.app.state.db


def page(service: Service, where: str) -> str:
    answer = service.client.get(where)
    assert answer.status_code == 200, answer.text
    return " ".join(answer.text.partition("<main")[2].split())


def running(db: Database, job: str, *reports: tuple[str, float, float | None]) -> leases.Claim:
    with db.session() as session:
        held = leases.claim(session, job, "a worker", 60)
    assert held is not None
    for report in reports:
        with db.session() as session:
            leases.report(session, held, *report)
    return held


def test_one_that_runs_tells_how_far_it_is_and_its_curves(service: Service, db: Database, rig: str) -> None:
    job = add_job(db, rig, options={"steps": 40}, request_id="request-7")
    held = running(db, job, ("heatmaps", 0.1, None), ("repair cameras", 0.2, 40.0), ("finetune", 0.42, 12.0))
    with db.session() as session:
        points = {"loss": [(2, 0.5), (4, 0.25)], "held_back": [(0, 0.75)]}
        curves.write(session, job, held.attempt, [Curve("finetune", points)])
    text = page(service, f"/adaptations/{job}")
    assert "<script" not in text.partition("</main>")[0]
    assert "&lt;b&gt;Stage&lt;/b&gt;" in text
    assert '<strong class="percent">42%</strong>' in text
    assert "about 12 s left" in text
    steps = re.findall(r'<li class="(done|now|ahead)"[^>]*><span class="name">([a-z ]+)<', text)
    assert steps == [
        ("done", "queued"), ("done", "load"), ("done", "repair cameras"), ("now", "finetune"), ("ahead", "evaluate"),
        ("ahead", "store"), ("ahead", "done"),
    ]  # fmt: skip
    assert 'class="curve held_back"' in text
    assert "from 0.5 to 0.25, lowest 0.25" in text
    assert "steps=40" in text
    assert "request-7" in text
    assert text.index("Attempt 1 began") > text.index("Stage “heatmaps” began")  # newest first


def test_one_that_failed_tells_cause_code_place_and_every_attempt(service: Service, db: Database, rig: str) -> None:
    job = add_job(db, rig)
    for _ in range(2):
        held = running(db, job, ("finetune", 0.5, 1.0))
        with db.session() as session:
            leases.fail_attempt(session, held, "<i>torn</i> cable", 2, cause="RuntimeError", seconds={"finetune": 3.2})
    text = page(service, f"/adaptations/{job}")
    assert "The adaptation failed 2 times. The last time: &lt;i&gt;torn&lt;/i&gt; cable" in text
    assert "<code>attempts_exhausted</code>, cause <code>RuntimeError</code>, while in “finetune”, attempt 2" in text
    assert text.count('</time></td> <td class="num">0.0 s') == 2
    assert "3.2 s" in text
    assert "Try again" in text


def test_no_result_of_any_version_stops_the_page(service: Service, db: Database, rig: str) -> None:
    odd = {"promoted": "?", "evidence": [{"rival": 3, "interval": "x"}], "fused": {"jdr": None}, "calibration": []}
    for metrics in (None, {}, odd):
        for method in ("metafuse", "naivefuse", "of another time"):
            job = add_job(db, rig, state="succeeded", stage="done", metrics=metrics, method=method)
            assert "Not promoted" in page(service, f"/adaptations/{job}")


@pytest.mark.parametrize(
    ("method", "lineage", "told"),
    [
        ("naivefuse", {"strengths": [0.3, 10.0]}, "solves for its weights at once"),
        ("naivefuse", {"strengths": [0.3, 10.0]}, "held back: 0.3, 10."),
        ("epipolar", {"sigma_px": 1.5, "gain": 0.2}, "It kept a width of 1.5 px and a gain of 0.2."),
        ("metafuse", {}, "it ran before curves were told"),
    ],
)
def test_where_there_is_no_curve_the_page_says_why(
    service: Service, db: Database, rig: str, method: str, lineage: dict[str, object], told: str
) -> None:
    job = add_job(db, rig, method=method, state="succeeded")
    with db.session() as session:
        made = new_id("ckp")
        session.add(
            CheckpointRow(
                id=made,
                rig_id=rig,
                adaptation_id=job,
                method=method,
                seed=0,
                artifact_sha256="0" * 64,
                size_bytes=1,
                manifest={"lineage": lineage},
            )
        )
        session.flush()
        session.get_one(AdaptationRow, job).checkpoint_id = made
    assert told in page(service, f"/adaptations/{job}")


def test_it_is_cancelled_and_tried_again(service: Service, db: Database, rig: str) -> None:
    job = add_job(db, rig)
    part = service.client.post(f"/adaptations/{job}/cancel", headers=HTMX)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "It was cancelled" in part.text
    assert get_job(db, job).state == "cancelled"
    again = service.client.post(f"/adaptations/{job}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "adaptation_finished")
    retried = service.client.post(f"/adaptations/{job}/retry")
    assert retried.status_code == 303
    there = retried.headers["location"]
    assert f"as {job} was" in page(service, there)
    by_htmx = service.client.post(f"/adaptations/{job}/retry", headers=HTMX)
    assert (by_htmx.status_code, by_htmx.headers["hx-redirect"]) == (204, there)  # asked twice, started once
    stopped = service.client.post(f"{there}/cancel")
    assert (stopped.status_code, stopped.headers["location"]) == (303, there)


def test_what_runs_is_asked_to_stop(service: Service, db: Database, rig: str) -> None:
    job = add_job(db, rig)
    running(db, job, ("finetune", 0.5, 3.0))
    assert "stops at its next step" in service.client.post(f"/adaptations/{job}/cancel", headers=HTMX).text


def test_who_may_only_look_is_told_why_and_refused(service: Service, db: Database, rig: str) -> None:
    job = add_job(db, rig)
    with holder(service, make_key(service, "read")["key"]) as reader:
        text = reader.get(f"/adaptations/{job}").text
        assert re.search(r'data-opens="ask-cancel" disabled>', text)
        assert "needs the scope" in text
        assert "<form" not in text.partition("<main")[2]
        for act in ("cancel", "retry"):
            assert reader.post(f"/adaptations/{job}/{act}").status_code == 403
    assert get_job(db, job).state == "queued"


def test_another_studio_s_is_not_there(service: Service, db: Database, rig: str) -> None:
    job = add_job(db, rig)
    with holder(service, make_key(service, studio="elsewhere")["key"]) as stranger:
        for path in (f"/adaptations/{job}", f"/adaptations/{job}/live"):
            assert stranger.get(path).status_code == 404
        assert stranger.post(f"/adaptations/{job}/cancel").status_code == 404
        assert job not in stranger.get("/adaptations").text


def test_the_list_filters_counts_and_pages(service: Service, db: Database, world: World) -> None:
    rig = service.register(world, "listed")
    error = {"code": "storage_full", "detail": "No room <here>."}
    failed = [add_job(db, rig, state="failed", error=error) for _ in range(2)]
    with db.session() as session:
        session.get_one(AdaptationRow, failed[0]).created_at = utc_now() - timedelta(hours=1)
    others = [add_job(db, rig) for _ in range(50)]
    text = page(service, f"/adaptations?rig={rig}&state=failed")
    assert re.findall(r'href="/adaptations/(ada_\w+)"', text) == failed[::-1]
    assert "No room &lt;here&gt;." in text
    assert 'Queued <span class="num">50</span>' in text
    first = page(service, f"/adaptations?rig={rig}")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    assert failed[0] not in first
    assert failed[0] in page(service, older[1].replace("&amp;", "&"))
    assert others[-1] in first
    for wrong in ("?state=lost", "?cursor=nonsense"):
        assert service.client.get(f"/adaptations{wrong}").status_code == 422
        assert service.client.get(f"/live/adaptations{wrong}").status_code == 422
    assert "None is like that" in page(service, "/adaptations?rig=rig_none")


def test_stages_and_curves_are_of_the_last_attempt_on_every_database(database: Database) -> None:
    job = add_job(database)
    held = running(database, job, ("heatmaps", 0.1, None))
    with database.session() as session:
        leases.give_back(session, held)
    running(database, job, ("split", 0.1, None), ("finetune", 0.2, None), ("finetune", 0.3, None))
    with database.session() as session:
        states.record(session, job, "waiting", {"reason": "No memory."})
        view = read(session, job)
    told = [entry.told for entry in view.log]
    assert [entry for entry in told if entry.startswith("Stage")] == ["Stage “finetune” began.", "Stage “split” began."]
    assert "No memory." in told
    assert [step.name for step in view.steps if step.state == "now"] == ["finetune"]
    assert [attempt.attempt for attempt in view.attempts] == [1, 1]

"""The dashboard's page."""

import re

from job_rows import add_job
from running import Service
from stored import checkpoint_of, store

from app.tables import AdaptationRow, CheckpointRow
from models.worlds import World


def test_the_page_shows_rigs_and_jobs_and_escapes_names(service: Service, world: World) -> None:
    rig = service.register(world, "<script>alert(1)</script>")
    checkpoint = store(service, rig, checkpoint_of(world.rig), activate=True)
    with service.app.state.db.session() as session:
        row = session.get_one(CheckpointRow, checkpoint)
        row.manifest = row.manifest | {"metrics": {"no_fusion": {"jdr": 0.712}, "fused": {"jdr": 0.891}}}
        job = session.get_one(AdaptationRow, row.adaptation_id)
        job.state, job.progress, job.eta_s, job.stage = "running", 0.42, 12.0, "finetuning"
    answer = service.client.get("/")
    assert answer.status_code == 200
    page = answer.text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "71.2%" in page
    assert "89.1%" in page
    assert "+17.9 points" in page
    assert "42%, 12 s left" in " ".join(page.split())
    assert ">adapting<" in page
    assert checkpoint in page


def test_the_page_needs_nothing_from_elsewhere(service: Service) -> None:
    answer = service.client.get("/")
    assert re.findall(r"(?:src|href)=\"(?!/docs)", answer.text) == []
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_page_survives_results_without_scores(service: Service, world: World) -> None:
    rig = service.register(world)
    store(service, rig, checkpoint_of(world.rig), activate=True)
    assert service.client.get("/").status_code == 200


def test_the_page_tells_why_an_adaptation_failed(service: Service, world: World) -> None:
    error = {"code": "insufficient_labels", "detail": "Only 3 frames are labelled."}
    add_job(service.app.state.db, service.register(world), state="failed", error=error)
    assert "Only 3 frames are labelled." in service.client.get("/").text

"""The rigs page as a browser gets it."""

import json

import payloads
import pytest
from job_rows import add_job
from running import Service
from stored import checkpoint_of, store

from app.tables import AdaptationRow, CheckpointRow
from models.checkpoint import Checkpoint
from models.worlds import World

MARKUP = "<script>alert(1)</script>"


def scored(checkpoint: Checkpoint, **metrics: object) -> Checkpoint:
    checkpoint.metrics.update(metrics)
    return checkpoint


def row_of(page: str, rig: str) -> str:
    found = page.partition(f'<tr id="{rig}">')[2].partition("</tr>")[0]
    return " ".join(found.replace("</span>", "").replace('<span class="muted">', "").split())


def test_a_row_tells_state_scores_and_what_is_under_way_and_markup_shows_as_text(
    service: Service, world: World
) -> None:
    rig = service.register(world, MARKUP)
    metrics = {"no_fusion": {"jdr": 0.712, "reprojection_px": 9.26}, "fused": {"jdr": 0.891, "reprojection_px": 4.0}}
    checkpoint = store(service, rig, scored(checkpoint_of(world.rig), **metrics), activate=True)
    with service.app.state.db.session() as session:
        job = session.get_one(AdaptationRow, session.get_one(CheckpointRow, checkpoint).adaptation_id)
        job.state, job.progress, job.eta_s, job.stage = "running", 0.42, 12.0, "finetune"
    answer = service.client.get("/", params={"q": rig})
    assert answer.status_code == 200
    assert MARKUP not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    row = row_of(answer.text, rig)
    assert "71.2 → 89.1 %" in row
    assert ">+17.9<" in row
    assert "9.3 → 4.0 px" in row
    assert "Finetune, 42%, about 12 s left" in row
    assert ">Adapting" in row


@pytest.mark.parametrize(
    "metrics", [{}, {"fused": {}}, {"no_fusion": None, "fused": {"jdr": 0.5}}, {"fused": {"jdr": None}}]
)
def test_scores_that_are_not_there_are_dashes(service: Service, world: World, metrics: dict[str, object]) -> None:
    rig = service.register(world)
    store(service, rig, scored(checkpoint_of(world.rig), **metrics), activate=True)
    answer = service.client.get("/", params={"q": rig})
    assert answer.status_code == 200
    assert "–" in row_of(answer.text, rig)


def test_a_failure_is_told_where_it_can_be_looked_into(service: Service, world: World) -> None:
    rig = service.register(world)
    job = add_job(
        service.app.state.db, rig, state="failed", error={"code": "insufficient_labels", "detail": f"3 of {MARKUP}."}
    )
    page = service.client.get("/", params={"q": rig, "show": "failed"}).text
    assert f'href="/adaptations/{job}"' in row_of(page, rig)
    assert "Adaptation failed: 3 of &lt;script&gt;" in page


def test_a_rig_is_found_by_its_new_name(service: Service, world: World) -> None:
    rig = service.register(world, "before")
    assert service.client.patch(f"/v1/rigs/{rig}", json={"name": "Ñandú 7", "tags": ["Zoo"]}).status_code == 200
    for words in ("ñandú", "zoo ÑANDÚ"):
        assert f'id="{rig}"' in service.client.get("/", params={"q": words}).text


def test_htmx_gets_the_part_and_whoever_goes_back_gets_the_page(service: Service, world: World) -> None:
    rig = service.register(world, "apart")
    sent = {"q": rig, "show": "all", "studio": "", "order": "up"}
    part = service.client.get("/", params=sent, headers={"HX-Request": "true", "HX-Target": "rigs"})
    assert part.text.startswith(f'<div id="rigs" data-live="/live/rigs?q={rig}">')
    assert part.headers["HX-Push-Url"] == f"/?q={rig}"
    typed = service.client.get("/", params=sent, headers={"HX-Target": "rigs", "HX-Trigger": "find"}).headers
    assert typed["HX-Replace-Url"] == f"/?q={rig}"
    assert "HX-Push-Url" not in typed
    restored = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert service.client.get("/", params={"q": rig}, headers=restored).text.startswith("<!doctype html>")


def test_the_part_is_sent_again_when_something_happens(service: Service, world: World) -> None:
    rig = service.register(world, "watched")
    with service.client.stream("GET", "/live/rigs", params={"q": rig}) as stream:
        lines = stream.iter_lines()
        assert any("Drop labelled frames" in line for line in lines)
        job = {"capture": service.upload(rig, payloads.capture(world)).json()["id"]}
        assert service.client.post(f"/v1/rigs/{rig}/adaptations", json=job).status_code == 202
        assert any("Waits for a worker" in line for line in lines)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("q=%00", 200),
        ("q=%FF%FE", 200),
        ("q=" + "x" * 201, 422),
        ("show=everything", 422),
        ("sort=id", 422),
        ("order=sideways", 422),
        ("page=0", 422),
        ("page=99999", 200),
        ("studio=%25", 200),
    ],
)
def test_no_address_is_an_error_of_ours(service: Service, query: str, status: int) -> None:
    answer = service.client.get(f"/?{query}")
    assert answer.status_code == status
    if status == 422:
        assert "query." in json.loads(answer.text)["at"]

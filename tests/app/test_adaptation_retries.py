"""Priorities, attempts and their reasons, retries, and who runs what: as a client sees them."""

from datetime import timedelta
from typing import Any

import httpx
import payloads
import pytest
from running import Service

from app.adaptations import leases
from app.adaptations.attempts import Outcome
from app.tables import WorkerRow, utc_now
from models.worlds import World


@pytest.fixture
def rig(service: Service, world: World) -> str:
    return service.register(world)


@pytest.fixture
def capture(service: Service, world: World, rig: str) -> str:
    files = payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world))
    return str(service.upload(rig, files).json()["id"])


def ask(service: Service, rig: str, of: str, **changed: Any) -> dict[str, Any]:
    answer = service.client.post(f"/v1/rigs/{rig}/adaptations", json={"capture": of} | changed)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def retry(service: Service, job: str, **headers: str) -> httpx.Response:
    return service.client.post(f"/v1/adaptations/{job}/retry", headers=headers)


def claimed(service: Service, job: str) -> leases.Claim:
    with service.app.state.db.session() as session:
        held = leases.claim(session, job, "worker-1", 60)
    assert held is not None
    return held


def test_the_most_urgent_job_is_an_interactive_one_then_the_oldest(service: Service, rig: str, capture: str) -> None:
    asked = [ask(service, rig, capture, priority=p) for p in ("batch", "batch", "interactive")]
    asked.append(ask(service, rig, capture))
    assert [job["priority"] for job in asked] == ["batch", "batch", "interactive", "interactive"]
    ids = [job["id"] for job in asked]
    with service.app.state.db.read_session() as session:
        order = [job for job in leases.most_urgent(session, 1000) if job in ids]
    assert order == [ids[2], ids[3], ids[0], ids[1]]
    found = service.client.get("/v1/adaptations", params={"rig": rig, "priority": "batch"}).json()["items"]
    assert [job["id"] for job in found] == [ids[1], ids[0]]
    for wrong in ({"priority": "now"}, {"priority": 1}):
        answer = service.client.post(f"/v1/rigs/{rig}/adaptations", json={"capture": capture} | wrong)
        assert (answer.status_code, answer.json()["at"]) == (422, "priority")


def test_every_attempt_is_told_with_its_reason(service: Service, rig: str, capture: str) -> None:
    job = ask(service, rig, capture)["id"]
    with service.app.state.db.session() as session:
        leases.give_back(session, claimed(service, job), {"load": 0.25})
    for reason in ("out of memory", "out of luck"):
        held = claimed(service, job)
        with service.app.state.db.session() as session:
            leases.fail_attempt(session, held, reason, 2, cause="OutOfMemoryError", seconds={"load": 1, "finetune": 2})
    told = service.client.get(f"/v1/adaptations/{job}").json()
    attempts = [(a["attempt"], a["outcome"], a["reason"], a["stage_seconds"]) for a in told["attempts"]]
    assert attempts == [
        (1, Outcome.GIVEN_BACK, "The worker was stopped.", {"load": 0.25}),
        (1, Outcome.FAILED, "out of memory", {"load": 1, "finetune": 2}),
        (2, Outcome.FAILED, "out of luck", {"load": 1, "finetune": 2}),
    ]
    assert all(a["started_at"] <= a["ended_at"] for a in told["attempts"])
    assert (told["error"]["code"], told["error"]["cause"]) == ("attempts_exhausted", "OutOfMemoryError")
    assert told["stage_seconds"] == {"load": 1, "finetune": 2}
    listed = service.client.get("/v1/adaptations", params={"rig": rig}).json()["items"]
    assert listed == [told]


def test_what_was_cancelled_is_tried_again_once(service: Service, rig: str, capture: str) -> None:
    job = ask(service, rig, capture, seed=7, options={"steps": 1}, priority="batch")
    refused = retry(service, job["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "adaptation_not_retryable")
    service.client.post(f"/v1/adaptations/{job['id']}/cancel")
    first, again, other = (
        retry(service, job["id"]),
        retry(service, job["id"]),
        retry(service, job["id"], **{"Idempotency-Key": f"another of {job['id']}"}),
    )
    assert [answer.status_code for answer in (first, again, other)] == [202] * 3
    made = first.json()
    assert made["id"] == again.json()["id"] != other.json()["id"]
    assert first.headers["location"] == f"/v1/adaptations/{made['id']}"
    assert (made["retry_of"], made["state"], made["attempts"]) == (job["id"], "queued", [])
    same = ("rig", "capture", "method", "seed", "options", "priority")
    assert {name: made[name] for name in same} == {name: job[name] for name in same}
    assert retry(service, "ada_none").status_code == 404


def test_a_retry_that_would_start_nothing_is_refused(service: Service, rig: str, capture: str) -> None:
    key = {"Idempotency-Key": f"of {rig}"}
    body = {"capture": capture}
    job = service.client.post(f"/v1/rigs/{rig}/adaptations", json=body, headers=key).json()["id"]
    service.client.post(f"/v1/adaptations/{job}/cancel")
    reused = retry(service, job, **key)
    assert (reused.status_code, reused.json()["code"]) == (409, "idempotency_key_reused")
    second = retry(service, job).json()["id"]
    service.client.post(f"/v1/adaptations/{second}/cancel")
    over = retry(service, job)
    assert (over.status_code, over.json()["code"]) == (409, "adaptation_not_retryable")
    assert over.json()["detail"] == f"It was tried again as {second}, which is cancelled: retry that one."
    assert retry(service, second).json()["retry_of"] == second


def test_workers_are_listed_with_whether_they_live(service: Service, rig: str, capture: str) -> None:
    job, now = ask(service, rig, capture)["id"], utc_now()
    seen = {"now": now, "long ago": now - timedelta(hours=1)}
    with service.app.state.db.session() as session:
        for name, seen_at in seen.items():
            session.add(
                WorkerRow(
                    id=f"{name} of {rig}", host="h", pid=1, version="1", device="cpu", memory_total=2, memory_free=1,
                    adaptation_id=job, started_at=seen_at, seen_at=seen_at,
                )
            )  # fmt: skip
    listed = {row["id"]: row for row in service.client.get("/v1/workers").json()["items"]}
    alive, silent = (listed[f"{name} of {rig}"] for name in seen)
    assert (alive["alive"], silent["alive"]) == (True, False)
    assert (alive["adaptation"], alive["memory_total"], alive["memory_free"]) == (job, 2, 1)

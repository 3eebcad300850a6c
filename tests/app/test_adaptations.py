"""Adaptations over HTTP: asking, asking twice, refusing, listing, cancelling, following."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import payloads
import pytest
from running import Service, serving
from sqlalchemy import func, select

from app.adaptations import events
from app.queue import JobQueue
from app.settings import Settings
from app.tables import AdaptationRow
from models.worlds import World


@pytest.fixture
def rig(service: Service, world: World) -> str:
    return service.register(world)


@pytest.fixture
def capture(service: Service, world: World, rig: str) -> str:
    return upload(service, world, rig)


def upload(service: Service, world: World, rig: str) -> str:
    files = payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world))
    answer = service.client.post(f"/v1/rigs/{rig}/captures", files=files)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ask(service: Service, rig: str, of: str, key: str | None = None, **changed: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return service.client.post(f"/v1/rigs/{rig}/adaptations", json={"capture": of} | changed, headers=headers)


def jobs_of(service: Service, rig: str) -> int:
    with service.app.state.db.read_session() as session:
        query = select(func.count()).select_from(AdaptationRow).where(AdaptationRow.rig_id == rig)
        return int(session.execute(query).scalar_one())


def assert_problem(answer: httpx.Response, status: int, code: str, at: str | None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem.get("at")) == (code, at)
    assert len(problem["detail"]) > 10


def test_asking_queues_the_job_and_wakes_a_worker(service: Service, rig: str, capture: str) -> None:
    queue = JobQueue(service.settings.broker_url)
    waiting = queue.waiting()
    answer = ask(service, rig, capture)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/adaptations/{job['id']}"
    assert (job["rig"], job["capture"], job["state"], job["stage"]) == (rig, capture, "queued", "queued")
    assert (job["method"], job["seed"], job["options"]) == ("metafuse", 0, {})
    assert (job["progress"], job["attempt"], job["eta_s"]) == (0, 0, None)
    assert (job["metrics"], job["checkpoint"], job["error"]) == (None, None, None)
    assert job["created_at"].endswith("Z")
    assert service.client.get(answer.headers["location"]).json() == job
    assert queue.waiting() == waiting + 1
    assert service.client.get(f"/v1/rigs/{rig}").json()["status"] == "adapting"
    queue.close()


@pytest.mark.parametrize(
    ("changed", "status", "code", "at"),
    [
        ({"method": "magic"}, 422, "unknown_method", "method"),
        ({"options": {"holdout": 7}}, 422, "invalid_options", "options.holdout"),
        ({"options": {"colour": "red"}}, 422, "invalid_options", "options.colour"),
        ({"capture": "cap_none"}, 404, "capture_not_found", "capture"),
        ({"capture": "\x00"}, 404, "capture_not_found", "capture"),
        ({"capture": 7}, 422, "invalid_input", "capture"),
        ({"seed": -1}, 422, "invalid_input", "seed"),
        ({"seed": 2**40}, 422, "invalid_input", "seed"),
        ({"sed": 1}, 422, "invalid_input", "sed"),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(
    service: Service, rig: str, capture: str, changed: dict[str, Any], *, status: int, code: str, at: str
) -> None:
    before = service.holdings()
    assert_problem(ask(service, rig, capture, **changed), status, code, at)
    assert service.holdings() == before


def test_a_capture_of_another_rig_is_refused(service: Service, world: World, rig: str, capture: str) -> None:
    other = service.register(world, "other stage")
    assert_problem(ask(service, other, capture), 409, "capture_of_another_rig", "capture")
    assert jobs_of(service, other) == 0


def test_an_unknown_or_archived_rig_is_refused(service: Service, rig: str, capture: str) -> None:
    assert_problem(ask(service, "rig_none", capture), 404, "rig_not_found", "path.rig_id")
    assert service.client.delete(f"/v1/rigs/{rig}").status_code == 204
    assert_problem(ask(service, rig, capture), 409, "rig_archived", "path.rig_id")
    assert jobs_of(service, rig) == 0


def test_the_same_key_answers_the_same_job(service: Service, rig: str, capture: str) -> None:
    key = f"key of {rig}"
    first, again = ask(service, rig, capture, key), ask(service, rig, capture, key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == again.headers["location"]
    refused = ask(service, rig, capture, key, seed=5)
    assert_problem(refused, 409, "idempotency_key_reused", "header.idempotency-key")
    assert jobs_of(service, rig) == 1


def test_the_same_key_at_the_same_time_makes_one_job(service: Service, rig: str, capture: str) -> None:
    together, answers = threading.Barrier(6), list[httpx.Response]()

    def contend() -> None:
        together.wait()
        answers.append(ask(service, rig, capture, f"race of {rig}"))

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert jobs_of(service, rig) == 1


def test_a_broker_that_is_away_does_not_matter_to_the_caller(
    make_settings: Callable[..., Settings], world: World
) -> None:
    with serving(make_settings(broker_url="redis://127.0.0.1:9/0")) as service:
        rig = service.register(world)
        capture = upload(service, world, rig)
        began = time.monotonic()
        answer = ask(service, rig, capture)
        assert answer.status_code == 202
        assert time.monotonic() - began < 3
        assert service.client.get(answer.headers["location"]).json()["state"] == "queued"


def test_jobs_are_listed_by_state_and_rig_page_by_page(service: Service, rig: str, capture: str) -> None:
    ids = [ask(service, rig, capture, seed=seed).json()["id"] for seed in range(3)]
    service.client.post(f"/v1/adaptations/{ids[1]}/cancel")
    first = service.client.get("/v1/adaptations", params={"rig": rig, "limit": 2}).json()
    rest = service.client.get("/v1/adaptations", params={"rig": rig, "limit": 2, "cursor": first["next_cursor"]}).json()
    assert [job["id"] for job in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
    queued = service.client.get("/v1/adaptations", params={"rig": rig, "state": "queued"}).json()
    assert [job["id"] for job in queued["items"]] == [ids[2], ids[0]]
    assert_problem(service.client.get("/v1/adaptations?state=lost"), 422, "invalid_input", "query.state")


def test_a_queued_job_is_cancelled_at_once_and_only_once(service: Service, rig: str, capture: str) -> None:
    path = ask(service, rig, capture).headers["location"]
    cancelled = service.client.post(f"{path}/cancel")
    assert cancelled.status_code == 202
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["finished_at"] is not None
    assert_problem(service.client.post(f"{path}/cancel"), 409, "adaptation_finished", None)


@pytest.mark.parametrize("what", ["", "/events", "/cancel"])
def test_an_unknown_job_is_404(service: Service, what: str) -> None:
    method = "POST" if what == "/cancel" else "GET"
    answer = service.client.request(method, f"/v1/adaptations/ada_none{what}")
    assert_problem(answer, 404, "adaptation_not_found", "path.adaptation_id")


def read_stream(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events, read as the standard says."""
    event: dict[str, Any] = {}
    for line in lines:
        if line.startswith(":"):
            yield {"comment": line}
        elif line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            yield event | {"data": json.loads(event["data"])}
            event = {}


def test_a_stream_tells_what_happens_and_ends_with_the_job(service: Service, rig: str, capture: str) -> None:
    path = ask(service, rig, capture).headers["location"]
    with service.client.stream("GET", f"{path}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        stream = read_stream(answer.iter_lines())
        first = next(stream)
        assert (first["event"], first["data"]["state"]) == ("queued", "queued")
        assert first["retry"] == str(events.RECONNECT_MS)  # how soon a browser that lost the stream comes again
        service.client.post(f"{path}/cancel")  # while the stream is open
        (last,) = stream
    assert (last["event"], last["data"]["state"]) == ("cancelled", "cancelled")
    assert int(last["id"]) > int(first["id"])

    rest = service.client.get(f"{path}/events", headers={"Last-Event-ID": first["id"]})
    assert [event["id"] for event in read_stream(iter(rest.text.split("\n")))] == [last["id"]]
    assert service.client.get(f"{path}/events", headers={"Last-Event-ID": last["id"]}).status_code == 204
    for nonsense in ("x", "-1", "9" * 30):
        again = service.client.get(f"{path}/events", headers={"Last-Event-ID": nonsense})
        assert len(list(read_stream(iter(again.text.split("\n"))))) == 2


def test_a_quiet_stream_is_kept_open(service: Service, rig: str, capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.1)
    path = ask(service, rig, capture).headers["location"]
    with service.client.stream("GET", f"{path}/events") as answer:
        stream = read_stream(answer.iter_lines())
        assert next(stream)["event"] == "queued"
        assert next(stream) == {"comment": ": still here"}
    service.client.post(f"{path}/cancel")

"""Operations: liveness, readiness that names what does not answer, metrics, logs."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import httpx
import payloads
from anyio import to_thread
from running import Service, serving
from sqlalchemy import text

from app.main import create_app
from app.settings import Settings
from models.weights import default_omega
from models.worlds import World


def test_a_whole_service_is_ready(service: Service) -> None:
    answer = service.client.get("/readyz")
    assert answer.status_code == 200, answer.text
    assert answer.json()["parts"] == ["database", "schema", "broker", "artifacts", "disk", "weights"]
    assert answer.json()["backbone"] == service.app.state.backbone.digest
    assert answer.json()["omega_base"] == default_omega().digest
    assert service.client.get("/healthz").json() == {"status": "ok"}


def test_a_load_balancer_may_ask_with_head(service: Service) -> None:
    for path in ("/healthz", "/readyz"):
        answer = service.client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_readiness_names_what_does_not_answer(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(broker_url="redis://127.0.0.1:1/0")
    with serving(settings) as running:
        broker = running.client.get("/readyz")
        assert (broker.status_code, broker.json()["code"]) == (503, "not_ready")
        assert broker.json()["detail"] == "These parts do not answer as they should: broker (OperationalError)."
        incoming = settings.data_dir / "artifacts" / "incoming"
        incoming.rmdir()
        assert "; artifacts (FileNotFoundError)." in running.client.get("/readyz").json()["detail"]
        incoming.mkdir()
        running.app.state.db.downgrade("0001")
        assert "schema is 0001 and has to be" in running.client.get("/readyz").json()["detail"]
        assert running.client.get("/healthz").status_code == 200


def test_a_full_disk_is_not_ready(make_settings: Callable[..., Settings]) -> None:
    with serving(make_settings(min_free_bytes=1 << 60)) as running:
        told = running.client.get("/readyz").json()
        assert told["at"] == "disk"
        assert "MiB wanted" in told["detail"]


def test_a_schema_of_a_newer_release_is_served(make_settings: Callable[..., Settings]) -> None:
    with serving(make_settings()) as running:
        with running.app.state.db.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = 'of_tomorrow'"))
        assert running.client.get("/readyz").status_code == 200


def test_a_silent_part_does_not_hold_the_answer_up(make_settings: Callable[..., Settings]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        port = silent.getsockname()[1]
        with serving(make_settings(broker_url=f"redis://127.0.0.1:{port}/0")) as running:
            running.app.state.readiness._within_s = 0.3
            threads = threading.active_count()
            began = time.monotonic()
            for _ in range(3):
                assert "broker (no answer within 0.3 s)" in running.client.get("/readyz").json()["detail"]
            assert time.monotonic() - began < 3
            assert threading.active_count() <= threads + len(running.app.state.readiness.parts)


def test_what_drains_is_not_ready_and_takes_no_work(make_settings: Callable[..., Settings]) -> None:
    with serving(make_settings()) as running:
        running.app.state.draining.begin()
        for path, status, code in (("/readyz", 503, "draining"), ("/v1/rigs", 503, "draining")):
            answer = running.client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert int(answer.headers["retry-after"]) > 0
        assert running.client.get("/v1/rigs").headers["connection"] == "close"
        assert running.client.get("/healthz").status_code == 200


def test_liveness_needs_no_free_thread(settings: Settings) -> None:
    async def ask() -> int:
        threads = to_thread.current_default_thread_limiter()
        for _ in range(int(threads.total_tokens)):
            threads.acquire_on_behalf_of_nowait(object())
        transport = httpx.ASGITransport(create_app(settings))
        async with asyncio.timeout(5), httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/healthz")).status_code

    assert asyncio.run(ask()) == 200


def test_metrics_count_by_route_and_never_by_id(service: Service, world: World) -> None:
    rig = service.register(world)
    service.client.get(f"/v1/rigs/{rig}")
    service.client.post(f"/v1/rigs/{rig}/poses", files=payloads.files(heatmaps=payloads.heatmaps(world)))
    service.client.get("/no/such/path")
    told = service.client.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))
    assert rig not in told
    assert "/no/such/path" not in told
    assert float(lines['rigfuse_requests_total{method="GET",route="/v1/rigs/{rig_id}",status="200"}']) >= 1
    assert float(lines['rigfuse_requests_total{method="GET",route="unmatched",status="404"}']) >= 1
    assert float(lines['rigfuse_pose_frames_total{mode="none"}']) >= payloads.FRAMES
    assert float(lines["rigfuse_engines_loaded"]) >= 1
    assert 'rigfuse_jobs{priority="batch",state="queued"}' in lines
    assert float(lines["rigfuse_database_up"]) == 1
    assert float(lines['rigfuse_request_seconds_count{route="/v1/rigs/{rig_id}/poses"}']) >= 1


def test_the_description_documents_problems(service: Service) -> None:
    described = service.client.get("/openapi.json").json()
    assert "HTTPValidationError" not in str(described)
    operations = [op for path in described["paths"].values() for op in path.values()]
    assert all(op["tags"] and op["summary"] for op in operations)
    upload = described["paths"]["/v1/rigs/{rig_id}/captures"]["post"]
    assert set(upload["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]) == {
        "labels", "frames", "heatmaps",
    }  # fmt: skip
    schemas = [
        described["paths"][f"/v1/rigs/{{rig_id}}/{kind}"]["post"]["requestBody"]["content"]["multipart/form-data"]
        for kind in ("captures", "poses")
    ]
    captures, poses = (schema["schema"] for schema in schemas)
    assert captures["required"] == ["labels"]
    assert "required" not in poses
    labels = captures["properties"].pop("labels")
    assert captures["properties"] == poses["properties"]
    assert all(part["format"] == "binary" for part in (labels, *poses["properties"].values()))
    assert list(upload["responses"]["413"]["content"]) == ["application/problem+json"]
    assert described["components"]["schemas"]["Problem"]["properties"]["code"]

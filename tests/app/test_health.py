"""Operations: liveness, readiness that names what does not answer, metrics, logs."""

import asyncio
from collections.abc import Callable

import httpx
import payloads
from anyio import to_thread
from running import Service, serving

from app.main import create_app
from app.settings import Settings
from models.weights import default_omega
from models.worlds import World


def test_a_whole_service_is_ready(service: Service) -> None:
    answer = service.client.get("/readyz")
    assert answer.status_code == 200, answer.text
    assert answer.json()["parts"] == ["database", "broker", "artifacts", "weights"]
    assert answer.json()["backbone"] == service.app.state.backbone.digest
    assert answer.json()["omega_base"] == default_omega().digest
    assert service.client.get("/healthz").json() == {"status": "ok"}


def test_readiness_names_what_does_not_answer(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(broker_url="redis://127.0.0.1:1/0")
    with serving(settings) as running:
        broker = running.client.get("/readyz")
        assert (broker.status_code, broker.json()["code"]) == (503, "not_ready")
        assert broker.json()["detail"] == "These parts do not answer: broker."
        incoming = settings.data_dir / "artifacts" / "incoming"
        incoming.rmdir()
        assert running.client.get("/readyz").json()["detail"].endswith(": broker, artifacts.")
        incoming.mkdir()
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
    text = service.client.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert rig not in text
    assert "/no/such/path" not in text
    assert float(lines['rigfuse_requests_total{method="GET",route="/v1/rigs/{rig_id}",status="200"}']) >= 1
    assert float(lines['rigfuse_requests_total{method="GET",route="unmatched",status="404"}']) >= 1
    assert float(lines['rigfuse_pose_frames_total{mode="none"}']) >= payloads.FRAMES
    assert float(lines["rigfuse_engines_loaded"]) >= 1
    assert 'rigfuse_jobs{state="queued"}' in lines
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

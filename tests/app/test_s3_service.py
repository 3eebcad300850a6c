"""The service with artifacts on a real S3 server: the main job with a real worker, and what it says without one."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import payloads
from job_rows import add_capture
from running import serving
from s3_server import S3Server

from app.settings import Settings

ROOT = Path(__file__).parents[2]


def test_a_capture_becomes_poses_and_is_purged(
    s3_server: S3Server, redis_url: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    broker = redis_url.removesuffix("/0") + "/9"
    settings = make_settings(broker_url=broker, **s3_server.settings(tmp_path.name))
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")},
        **s3_server.environment(tmp_path.name),
        "RIGFUSE_DATA_DIR": str(tmp_path / "worker"),  # on another machine, as it were
        "RIGFUSE_DATABASE_URL": settings.database_url,
        "RIGFUSE_BROKER_URL": broker,
        "RIGFUSE_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    seen = payloads.world(seed=31, cameras=2, frames=12)
    with serving(settings) as service, (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([sys.executable, "-m", "worker"], cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            rig = service.register(seen)
            capture = service.upload(rig, payloads.capture(seen)).json()["id"]
            asked = {"capture": capture, "options": {"steps": 0}}
            job = service.client.post(f"/v1/rigs/{rig}/adaptations", json=asked).json()
            deadline = time.monotonic() + 120
            while job["state"] in {"queued", "running"}:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.1)
                job = service.client.get(f"/v1/adaptations/{job['id']}").json()
            assert job["state"] == "succeeded", job["error"]
        finally:
            worker.terminate()
            worker.wait(20)
        checkpoint = job["checkpoint"]
        assert service.client.post(f"/v1/checkpoints/{checkpoint}/activate").status_code == 200
        frames = {"heatmaps": payloads.capture(seen)["heatmaps"]}
        poses = service.client.post(f"/v1/rigs/{rig}/poses", files=frames).json()
        assert (poses["checkpoint"], len(poses["frames"])) == (checkpoint, 12)
        artifact = service.client.get(f"/v1/checkpoints/{checkpoint}/artifact")
        assert len(artifact.content) == service.client.get(f"/v1/checkpoints/{checkpoint}").json()["size_bytes"]
        assert len(list(service.app.state.artifacts.list())) == 3
        assert service.client.delete(f"/v1/captures/{capture}").status_code == 200
        assert len(list(service.app.state.artifacts.list())) == 1
        assert not (settings.data_dir / "artifacts").exists()


def test_a_store_that_is_away_is_named(s3_server: S3Server, make_settings: Callable[..., Settings]) -> None:
    away = s3_server.settings("away") | {"artifacts_endpoint": "http://127.0.0.1:9", "artifacts_timeout_s": 0.3}
    with serving(make_settings(**away)) as service:
        assert service.client.get("/readyz").json()["at"] == "artifacts"
        seen = payloads.world()
        rig = service.register(seen)
        before = service.holdings()
        answer = service.upload(rig, payloads.capture(seen))
        assert (answer.status_code, answer.json()["at"], answer.headers["retry-after"]) == (503, "artifacts", "5")
        assert service.holdings() == before
        capture = add_capture(service.app.state.db, rig)
        asked = service.client.delete(f"/v1/captures/{capture}")
        assert (asked.status_code, asked.json()["at"]) == (503, "artifacts")
        assert "still there" in asked.json()["detail"]
        assert service.client.get(f"/v1/captures/{capture}").json()["purged_at"] is not None

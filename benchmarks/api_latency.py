"""How long one pose request takes over HTTP, warm: heatmaps of one frame, by number of cameras and way of fusing.

Run ``python -m benchmarks.api_latency``; it starts the API in a process of its own and prints a table.
"""

import argparse
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from app.artifacts import ArtifactStore
from app.db import Database
from app.settings import Settings
from app.tables import AdaptationRow, CaptureRow, CheckpointRow, new_id
from models.baselines import calibrated_theta, default_gains
from models.checkpoint import Checkpoint
from models.rig import Rig
from models.weights import default_omega
from models.worlds import make_world, random_rig


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--requests", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), environment="embedded", port=_free_port())
        server = _start(settings)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", timeout=60) as client:
                _wait(client, server)
                print(f"{'cameras':>7}  {'fusion':10}  {'first ms':>8}  {'median ms':>9}  {'95% ms':>7}")
                for cameras in arguments.cameras:
                    _measure(client, settings, cameras, arguments.requests)
        finally:
            server.terminate()
            server.wait(20)


def _measure(client: httpx.Client, settings: Settings, cameras: int, requests: int) -> None:
    rng = np.random.default_rng(cameras)
    rig = random_rig(rng, cameras)
    created = client.post("/v1/rigs", json={"name": "bench", **rig.to_dict()}).raise_for_status().json()["id"]
    data = _npz(rig, make_world(rng, rig, 1).heatmaps)
    stored = _store_checkpoint(settings, created, rig)
    for name, checkpoint in (("none", "none"), ("epipolar", "epipolar"), ("checkpoint", stored)):
        times = []
        for _ in range(requests + 1):
            started = time.perf_counter()
            answer = client.post(
                f"/v1/rigs/{created}/poses", params={"checkpoint": checkpoint}, files={"heatmaps": ("h.npz", data)}
            )
            answer.raise_for_status()
            times.append(1000 * (time.perf_counter() - started))
        first, *warm = times
        median, high = np.median(warm), np.percentile(warm, 95)
        print(f"{cameras:7d}  {name:10}  {first:8.1f}  {median:9.1f}  {high:7.1f}")


def _npz(rig: Rig, heatmaps: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    ids = np.array([camera.id for camera in rig.cameras])
    np.savez(buffer, heatmaps=heatmaps.astype(np.float16), frames=np.array(["000000"]), cameras=ids)
    return buffer.getvalue()


def _store_checkpoint(settings: Settings, rig_id: str, rig: Rig) -> str:
    """A checkpoint as large and as slow as a learned one, put where an adaptation would."""
    checkpoint = Checkpoint(
        method="metafuse", seed=0, rig_digest=rig.digest, capture_digest="0" * 64, omega=default_omega(),
        theta=calibrated_theta(rig), gains=np.full(len(rig.pairs), default_gains(len(rig.cameras)), np.float32),
        R=np.stack([c.R for c in rig.cameras]), t=np.stack([c.t for c in rig.cameras]), repaired=False, project=True,
    )  # fmt: skip
    data = checkpoint.to_bytes()
    sha256 = ArtifactStore(settings.artifacts_url).put_bytes(data)
    database = Database(settings.database_url)
    ids = {"rig_id": rig_id, "capture_id": new_id("cap"), "adaptation_id": new_id("ada")}
    with database.session() as session:
        session.add(CaptureRow(
            id=ids["capture_id"], rig_id=rig_id, kind="heatmaps", digest="0" * 64, frames=1, labelled_joints=1,
            coverage={}, warnings=[], labels_sha256=sha256, source_sha256=sha256,
        ))  # fmt: skip
        session.flush()
        job = AdaptationRow(id=ids["adaptation_id"], rig_id=rig_id, capture_id=ids["capture_id"], method="x", seed=0)
        job.state = "succeeded"
        session.add(job)
        session.flush()
        row = CheckpointRow(
            id=new_id("ckp"), method="metafuse", seed=0, artifact_sha256=sha256, size_bytes=len(data),
            manifest=checkpoint.manifest(), **ids,
        )  # fmt: skip
        session.add(row)
    database.dispose()
    return row.id


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    given = {
        "RIGFUSE_ENVIRONMENT": "embedded",
        "RIGFUSE_DATA_DIR": str(settings.data_dir),
        "RIGFUSE_PORT": str(settings.port),
    }
    command = [sys.executable, "-m", "app.cli", "api"]
    return subprocess.Popen(command, env=os.environ | given, stdout=subprocess.DEVNULL)  # noqa: S603


def _wait(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            client.get("/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The API did not start.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()

"""An API process of one's own to measure, with checkpoints put where adaptations would put them."""

import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from app.artifacts import ArtifactStore
from app.db import Database
from app.settings import Settings
from app.tables import CheckpointRow, RigRow, new_id
from models.baselines import calibrated_theta, default_gains
from models.checkpoint import Checkpoint
from models.rig import Rig
from models.weights import default_omega
from models.worlds import World


@dataclass(frozen=True)
class ApiProcess:
    """A running ``rigfuse api`` and where it listens."""

    settings: Settings
    url: str
    pid: int

    @property
    def rss_mb(self) -> float:
        """Resident memory of the process, as Linux tells it."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def api_process(**environment: str) -> Iterator[ApiProcess]:
    """Start the API on a free port with a SQLite database of its own; ``environment`` without RIGFUSE_."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), environment="embedded", port=free_port())
        given = {"ENVIRONMENT": "embedded", "DATA_DIR": folder, "PORT": str(settings.port), **environment}
        variables = os.environ | {f"RIGFUSE_{name}": value for name, value in given.items()}
        command = [sys.executable, "-m", "app.cli", "api"]
        server = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            url = f"http://127.0.0.1:{settings.port}"
            _wait(url, server)
            yield ApiProcess(settings, url, server.pid)
        finally:
            server.terminate()
            server.wait(30)


def checkpoint_of(rig: Rig) -> Checkpoint:
    """A checkpoint as large and as slow as a learned one."""
    return Checkpoint(
        method="metafuse", seed=0, rig_digest=rig.digest, capture_digest="0" * 64, omega=default_omega(),
        theta=calibrated_theta(rig), gains=np.full(len(rig.pairs), default_gains(len(rig.cameras)), np.float32),
        R=np.stack([c.R for c in rig.cameras]), t=np.stack([c.t for c in rig.cameras]), repaired=False, project=True,
    )  # fmt: skip


def store_checkpoint(settings: Settings, rig_id: str, checkpoint: Checkpoint, *, activate: bool = True) -> str:
    """Put a checkpoint where an import would, and serve the rig with it unless told otherwise."""
    data = checkpoint.to_bytes()
    sha256 = ArtifactStore(settings.artifacts_url).put_bytes(data)
    database = Database(settings.database_url)
    with database.session() as session:
        row = CheckpointRow(
            id=new_id("ckp"), studio="", rig_id=rig_id, method="metafuse", seed=0, artifact_sha256=sha256,
            size_bytes=len(data), manifest=checkpoint.manifest(),
        )  # fmt: skip
        session.add(row)
        session.flush()
        if activate:
            session.get_one(RigRow, rig_id).active_checkpoint_id = row.id
    database.dispose()
    return row.id


def heatmaps_npz(world: World, frame: int) -> bytes:
    """One frame's heatmaps as they are sent."""
    buffer = io.BytesIO()
    maps = world.heatmaps[frame : frame + 1].astype(np.float16)
    ids = np.array([camera.id for camera in world.rig.cameras])
    np.savez(buffer, heatmaps=maps, frames=np.array([f"{frame:06d}"]), cameras=ids)
    return buffer.getvalue()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            httpx.get(f"{url}/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The API did not start.")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

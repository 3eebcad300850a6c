"""Running the service in a test: real HTTP through uvicorn, in a thread."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import payloads
import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select

from app.main import create_app
from app.settings import Settings
from app.tables import Base
from models.worlds import World


@dataclass(frozen=True)
class Service:
    """A running service and a client of it."""

    app: FastAPI
    settings: Settings
    client: httpx.Client

    def register(self, world: World, name: str = "stage") -> str:
        """Register the world's rig; its id."""
        answer = self.client.post("/v1/rigs", json=payloads.rig_document(world.rig, name))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def upload(self, rig: str, sent: payloads.Sent) -> httpx.Response:
        """Send a capture."""
        return self.client.post(f"/v1/rigs/{rig}/captures", files=sent)

    def holdings(self) -> tuple[dict[str, int], list[str]]:
        """Everything kept: rows by table, and the files of uploads and artifacts."""
        with self.app.state.db.read_session() as session:
            rows = {
                table.name: session.scalar(select(func.count()).select_from(table)) or 0
                for table in Base.metadata.sorted_tables
                if table.name != "rig_serving"  # written at its own pace
            }
        folders = (self.settings.uploads_dir, self.settings.data_dir / "artifacts")
        return rows, sorted(str(path) for folder in folders for path in folder.rglob("*") if path.is_file())


@contextmanager
def serving(settings: Settings, **headers: str) -> Iterator[Service]:
    """Run the service on a free port, in a thread."""
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws_max_size=2 * settings.live_message_bytes)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield Service(app, settings, client)
    finally:
        server.should_exit = True
        thread.join(20)

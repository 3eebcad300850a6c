"""What docs/client.md shows is run as it stands there, against a real service."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import payloads
import pytest
from running import Service, serving

import app.client
from app.client import RigFuseClient
from app.settings import Settings
from models.worlds import World

TEXT = (Path(__file__).parents[2] / "docs/client.md").read_text()
WAITING = "    job = studio.wait"  # needs a worker; tests/e2e waits for one


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with serving(make_settings()) as running:
        yield running


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rig.json").write_text(json.dumps(payloads.rig_document(world.rig)))
    (tmp_path / "labels.json").write_text(json.dumps(payloads.labels_document(world)))
    (tmp_path / "heatmaps.npz").write_bytes(payloads.heatmaps(world))
    monkeypatch.chdir(tmp_path)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_python_of_the_document_works(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    url = str(service.client.base_url)
    scope: dict[str, object] = {}
    for block in blocks("python"):
        assert "http://127.0.0.1:8000" in block
        lines = [line for line in block.splitlines() if not line.startswith(WAITING) and "job." not in line]
        code = "\n".join(lines).replace("http://127.0.0.1:8000", url).replace(', api_key="…"', "")
        exec(compile(code, "docs/client.md", "exec"), scope)  # noqa: S102 - it is our own
    said = capsys.readouterr().out
    assert "404 rig_not_found" in said
    assert "100%" in said
    assert Path("fused.npz").read_bytes()[:2] == b"PK"


def test_the_commands_of_the_document_work(service: Service) -> None:
    (script,) = blocks("sh")
    environment = {**os.environ, "RIGFUSE_URL": str(service.client.base_url)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "is cancelled" in done.stdout
    assert len(json.loads(Path("poses.json").read_text())["frames"]) == payloads.FRAMES


def test_the_document_names_all_that_the_client_can_do() -> None:
    public = {name for name in dir(RigFuseClient) if not name.startswith("_")} - {"close"}
    assert {name for name in public if f"`{name}`" not in TEXT and f"studio.{name}(" not in TEXT} == set()


def test_the_public_names_are_these() -> None:
    assert sorted(app.client.__all__) == [
        "ApiError",
        "ClientError",
        "DEFAULT_URL",
        "Event",
        "Misused",
        "Retries",
        "RigFuseClient",
        "Unreachable",
        "UploadProgress",
    ]

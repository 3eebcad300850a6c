"""The `rigfuse` command as a person runs it: what it prints, where it writes, and how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import payloads
import pytest
from running import Service

from models.worlds import World

ROOT = Path(__file__).parents[2]


def rigfuse(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command; columns are wide so that nothing is wrapped."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=ROOT, env={**variables, "COLUMNS": "200", **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def says(*arguments: str, **environment: str) -> str:
    """What a command that succeeds prints."""
    done = rigfuse(*arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_help_names_every_command_and_shows_how_to_begin() -> None:
    text = says("--help")
    for command in ("up", "api", "worker", "migrate", "demo", "rig", "capture", "adapt", "poses", "checkpoints"):
        assert f"│ {command} " in text
    assert "rigfuse up --data-dir ./studio" in text
    assert "rigfuse adapt RIG CAPTURE --follow" in text


@pytest.mark.parametrize(
    "command",
    [["up"], ["api"], ["worker"], ["demo"], ["migrate"], ["adapt"], ["poses"], ["rig", "add"], ["capture", "upload"]],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    text = says(*command, "--help")
    assert f"Usage: python -m app.cli {' '.join(command)}" in text
    assert len(text.splitlines()) > 5


def test_a_studio_uses_it(service: Service, world: World, tmp_path: Path) -> None:
    url = str(service.client.base_url)
    (tmp_path / "rig.json").write_text(json.dumps(payloads.rig_document(world.rig, "stage one")))
    (tmp_path / "labels.json").write_text(json.dumps(payloads.labels_document(world)))
    (tmp_path / "heatmaps.npz").write_bytes(payloads.heatmaps(world))
    labels, heatmaps = str(tmp_path / "labels.json"), str(tmp_path / "heatmaps.npz")

    rig = says("rig", "add", str(tmp_path / "rig.json"), "--url", url)
    assert rig.startswith("rig_")
    listed = says("rig", "list", RIGFUSE_URL=url)
    assert rig in listed
    assert "stage one" in listed
    assert json.loads(says("rig", "show", rig, "--url", url))["id"] == rig

    upload = says("capture", "upload", rig, "--labels", labels, "--heatmaps", heatmaps, "--url", url)
    capture = upload.splitlines()[0]
    assert capture.startswith("cap_")
    job = says("adapt", rig, capture, "--options", '{"steps": 1}', "--url", url)
    assert service.client.get(f"/v1/adaptations/{job}").json()["options"] == {"steps": 1}

    output = tmp_path / "poses.json"
    said = says("poses", rig, "--heatmaps", heatmaps, "--checkpoint", "none", "--output", str(output), "--url", url)
    assert said.startswith(f"{payloads.FRAMES} frames written")
    assert len(json.loads(output.read_text())["frames"]) == payloads.FRAMES
    assert says("checkpoints", "list", rig, "--url", url)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["rig", "list", "--url", "http://127.0.0.1:9"], 1, "http://127.0.0.1:9 does not answer"),
        (["rig", "add", "no-such-file.json"], 2, "no-such-file.json"),
        (["rig", "add", "pyproject.toml"], 1, "pyproject.toml is not JSON"),
        (["adapt", "rig_1", "cap_1", "--options", "[1]"], 1, "--options must be a JSON object"),
        (["poses", "rig_1"], 2, "exactly one of --frames and --heatmaps"),
        (["fly"], 2, "No such command 'fly'"),
    ],
)
def test_what_goes_wrong_is_one_sentence(arguments: list[str], status: int, sentence: str) -> None:
    done = rigfuse(*arguments)
    assert done.returncode == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_service_refuses_is_told_with_its_place(service: Service, world: World, tmp_path: Path) -> None:
    document = payloads.rig_document(world.rig)
    document["cameras"][0]["R"][0][0] = 5
    path = tmp_path / "rig.json"
    path.write_text(json.dumps(document))
    done = rigfuse("rig", "add", str(path), "--url", str(service.client.base_url))
    assert done.returncode == 1
    assert done.stderr.startswith("rigfuse: R is not a rotation")
    assert "cameras[0].R" in done.stderr


def test_migrate_makes_the_schema(tmp_path: Path) -> None:
    said = says("migrate", RIGFUSE_DATABASE_URL=f"sqlite:///{tmp_path}/new.db")
    assert said == "The sqlite database is up to date."
    assert (tmp_path / "new.db").stat().st_size > 10_000


@pytest.mark.parametrize("command", ["api", "worker"])
def test_settings_that_cannot_be_end_the_start(command: str, tmp_path: Path) -> None:
    done = rigfuse(command, RIGFUSE_DATA_DIR=str(tmp_path), RIGFUSE_DEVICE="cuda", RIGFUSE_ENVIRONMENT="embedded")
    assert done.returncode != 0
    assert "cuda" in (done.stderr + done.stdout).lower()
    assert not done.stdout.startswith("ready")

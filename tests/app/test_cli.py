"""The `rigfuse` command as a person runs it: what it prints, where it writes, and how it fails."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import payloads
import pytest
import torch
from running import Service
from terminal import Done, rigfuse

from models.worlds import World

ROOT = Path(__file__).parents[2]
GPU = torch.cuda.is_available()


def as_a_process(*arguments: str, **environment: str) -> Done:
    """Run the command as a person does; columns are wide so that nothing is wrapped."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("RIGFUSE_")}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=ROOT, env={**variables, "COLUMNS": "200", **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def test_help_names_every_command_and_shows_how_to_begin() -> None:
    done = as_a_process("--help")
    assert done.status == 0, done.stderr
    text = done.stdout
    for command in ("up", "api", "worker", "migrate", "demo", "rig", "capture", "adapt", "poses", "checkpoints"):
        assert f"│ {command} " in text
    assert "rigfuse up --data-dir ./studio" in text
    assert "rigfuse adapt RIG CAPTURE --follow" in text


@pytest.mark.parametrize(
    "command",
    [["up"], ["worker"], ["adapt"], ["capture", "upload"]],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    done = rigfuse(*command, "--help")
    text = done.stdout
    assert done.status == 0, done.stderr
    assert re.search(rf"Usage: .* {' '.join(command)} ", text)
    assert len(text.splitlines()) > 5


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["rig", "list", "--url", "http://127.0.0.1:9"], 3, "http://127.0.0.1:9 does not answer"),
        (["rig", "add", "no-such-file.json"], 2, "no-such-file.json"),
        (["rig", "add", "pyproject.toml"], 1, "pyproject.toml: This is no calibration"),
        (["adapt", "rig_1", "cap_1", "--options", "[1]"], 1, "--options must be a JSON object"),
        (["poses", "rig_1"], 2, "exactly one of --frames and --heatmaps"),
        (["rig", "add", "models/weights/movenet-thunder.onnx"], 1, "movenet-thunder.onnx: The calibration is no text"),
        (["fly"], 2, "No such command 'fly'"),
    ],
)
def test_what_goes_wrong_is_one_sentence(arguments: list[str], status: int, sentence: str) -> None:
    done = rigfuse(*arguments)
    assert done.status == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_service_refuses_is_told_with_its_place(service: Service, world: World, tmp_path: Path) -> None:
    document = payloads.rig_document(world.rig)
    document["cameras"][0]["R"][0][0] = 5
    path = tmp_path / "rig.json"
    path.write_text(json.dumps(document))
    done = rigfuse("rig", "add", str(path), "--url", str(service.client.base_url))
    assert done.status == 1
    assert "R is not a rotation" in done.stderr
    assert "cameras[0].R" in done.stderr


def test_migrate_makes_the_schema(tmp_path: Path) -> None:
    done = as_a_process("migrate", RIGFUSE_DATABASE_URL=f"sqlite:///{tmp_path}/new.db")
    assert (done.status, done.stdout.strip()) == (0, "The sqlite database is up to date.")
    assert (tmp_path / "new.db").stat().st_size > 10_000


def assert_one_sentence(done: Done, status: int, *parts: str) -> None:
    """It ended with one sentence, and no traceback anywhere."""
    assert done.status == status, done.stderr
    lines = done.stderr.strip().splitlines()
    assert [line for line in lines if line.startswith("rigfuse: ")] == lines[-1:]
    assert all(part in lines[-1] for part in parts), lines[-1]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["api", "worker"])
@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_a_device_that_is_not_there_ends_the_start(command: str, tmp_path: Path) -> None:
    done = as_a_process(command, RIGFUSE_DATA_DIR=str(tmp_path), RIGFUSE_DEVICE="cuda", RIGFUSE_ENVIRONMENT="embedded")
    assert_one_sentence(done, 1, "CUDA")


@pytest.mark.parametrize("command", [["worker"], ["up"]])
def test_a_setting_that_cannot_be_ends_every_start(command: list[str], tmp_path: Path) -> None:
    place = ["--data-dir", str(tmp_path)] if command == ["up"] else []
    done = as_a_process(
        *command, *place, RIGFUSE_DATA_DIR=str(tmp_path), RIGFUSE_DEVICE="tpu", RIGFUSE_DATABASE_URL="sqlite:///s3cret"
    )
    assert_one_sentence(done, 2, "RIGFUSE_DEVICE", "'cpu' or 'cuda'")
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("command", [["api"], ["up", "--port", "0"]])
@pytest.mark.parametrize(("address", "why"), [("postgresql://u:s3cret@127.0.0.1:9/x", "refused"), ("nonsense", "URL")])
def test_a_database_that_cannot_be_reached_ends_every_start(
    command: list[str], address: str, why: str, tmp_path: Path
) -> None:
    place = ["--data-dir", str(tmp_path)] if command[0] == "up" else []
    done = as_a_process(
        *command, *place,
        RIGFUSE_DATA_DIR=str(tmp_path), RIGFUSE_ENVIRONMENT="embedded", RIGFUSE_DATABASE_URL=address,
    )  # fmt: skip
    assert_one_sentence(done, 1, "RIGFUSE_DATABASE_URL", why)
    assert "s3cret" not in done.stderr


def test_a_database_of_a_newer_version_is_told(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/new.db"
    assert rigfuse("migrate", RIGFUSE_DATABASE_URL=address).status == 0
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_tomorrow'")
    assert_one_sentence(rigfuse("migrate", RIGFUSE_DATABASE_URL=address), 1, "from_tomorrow")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = rigfuse("migrate", RIGFUSE_DATA_DIR=str(tmp_path / "file" / "data"))
    assert_one_sentence(done, 1, str(tmp_path / "file"))

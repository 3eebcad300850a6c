"""The commands that use a service, against a real one: what they print for a person and for a script, how they end."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import payloads
import pytest
from pydantic import SecretStr
from running import Service, serving
from stored import checkpoint_of, store
from terminal import Done, rigfuse

from app.client import ApiError
from app.doors import one_sentence
from app.settings import Settings
from models.worlds import World

KEY = "a-key-for-the-commands"


@dataclass(frozen=True)
class Shell:
    """Runs commands as the program does, with the address and the key in the environment."""

    service: Service

    def run(self, *arguments: str, **environment: str) -> Done:
        given = {"RIGFUSE_URL": str(self.service.client.base_url), "RIGFUSE_API_KEY": KEY, **environment}
        return rigfuse(*arguments, **given)

    def says(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.status == 0, done.stderr
        return done.stdout.strip()

    def tells(self, *arguments: str) -> Any:
        return json.loads(self.says(*arguments, "--json"))


@pytest.fixture(scope="module")
def shell(make_settings: Callable[..., Settings]) -> Iterator[Shell]:
    keys = (SecretStr(KEY),)
    with serving(make_settings(api_keys=keys), Authorization=f"Bearer {KEY}") as running:
        yield Shell(running)


@pytest.fixture
def files(tmp_path: Path, world: World) -> Path:
    (tmp_path / "rig.json").write_text(json.dumps(payloads.rig_document(world.rig, "stage [red]one[/red]")))
    (tmp_path / "labels.json").write_text(json.dumps(payloads.labels_document(world)))
    (tmp_path / "heatmaps.npz").write_bytes(payloads.heatmaps(world))
    return tmp_path


@pytest.fixture
def rig(shell: Shell, files: Path) -> str:
    return shell.says("rig", "add", str(files / "rig.json"))


@pytest.fixture
def capture(shell: Shell, files: Path, rig: str) -> str:
    sent = ("--labels", str(files / "labels.json"), "--heatmaps", str(files / "heatmaps.npz"), "--resumable")
    return shell.says("capture", "upload", rig, *sent)


def test_rigs(shell: Shell, rig: str) -> None:
    assert json.loads(shell.says("rig", "show", rig))["name"] == "stage [red]one[/red]"
    line = next(line for line in shell.says("rig", "list").splitlines() if rig in line)
    assert "stage [red]one[/red]" in line  # a name is no markup
    assert rig in [listed["id"] for listed in shell.tells("rig", "list")]
    assert "archived" in shell.says("rig", "archive", rig)
    assert rig in shell.says("rig", "list", "--archived")
    assert rig not in shell.says("rig", "list")


def test_captures(shell: Shell, rig: str, capture: str) -> None:
    assert capture.startswith("cap_")
    assert shell.service.client.get("/v1/uploads").json()["items"] == []  # sealed, and so used up
    assert json.loads(shell.says("capture", "show", capture))["frames"] == payloads.FRAMES
    assert capture in shell.says("capture", "list", rig)
    asked = shell.run("capture", "delete", capture)
    assert asked.status != 0  # nobody said yes
    assert "for good" in asked.stderr
    assert "deleted" in shell.says("capture", "delete", capture, "--yes")
    assert shell.tells("capture", "list", rig)[0]["purged_at"] is not None


def test_adaptations(shell: Shell, rig: str, capture: str) -> None:
    job = shell.tells("adapt", rig, capture, "--seed", "3", "--priority", "batch", "--options", '{"steps": 2}')
    assert (job["seed"], job["options"], job["priority"]) == (3, {"steps": 2}, "batch")
    assert job["id"] in shell.says("adaptations", "list", "--rig", rig)
    assert json.loads(shell.says("adaptations", "show", job["id"]))["state"] == "queued"
    assert shell.says("adaptations", "cancel", job["id"]) == f"{job['id']} is cancelled."
    assert [row["id"] for row in shell.tells("adaptations", "list", "--state", "cancelled", "--rig", rig)] == [
        job["id"]
    ]
    followed = shell.run("adaptations", "follow", job["id"])
    assert (followed.status, followed.stdout) == (1, "")
    assert "cancelled" in followed.stderr
    again = shell.says("adaptations", "retry", job["id"])
    assert again.startswith("ada_")
    assert again != job["id"]
    shell.says("adaptations", "cancel", again)


def test_checkpoints(shell: Shell, rig: str, world: World, tmp_path: Path) -> None:
    first, second = (store(shell.service, rig, checkpoint_of(world.rig, gain), activate=False) for gain in (1.0, 0.5))
    assert shell.says("checkpoints", "activate", first) == f"The rig {rig} now serves with {first}."
    assert shell.tells("checkpoints", "activate", second, "--reason", "as good")["active"]
    assert [row["checkpoint"] for row in shell.tells("rig", "history", rig)] == [second, first]
    assert "as good" in shell.says("rig", "history", rig)
    assert shell.says("rig", "rollback", rig) == f"{second} no longer serves; active is {first}."
    assert shell.says("checkpoints", "pin", second) == f"{second} is kept."
    refused = shell.run("checkpoints", "delete", second, "--yes")
    assert refused.status == 1
    assert "pinned" in refused.stderr
    shell.says("checkpoints", "unpin", second)
    target = tmp_path / "checkpoint.safetensors"
    assert shell.says("checkpoints", "download", second, str(target)) == str(target)
    assert json.loads(shell.says("checkpoints", "show", second))["size_bytes"] == target.stat().st_size
    assert shell.says("checkpoints", "delete", second, "--yes") == f"{second} is deleted."
    told = {row["id"]: row for row in shell.tells("checkpoints", "list", rig)}
    assert told[first]["active"]
    assert told[second]["purged_at"] is not None
    assert "deleted" in shell.says("checkpoints", "list", rig)


def test_bundles(shell: Shell, rig: str, world: World, tmp_path: Path) -> None:
    checkpoint = store(shell.service, rig, checkpoint_of(world.rig), activate=False)
    bundle = str(tmp_path / "stage.rigfuse.safetensors")
    assert shell.says("bundle", "export", checkpoint, bundle) == bundle
    told = json.loads(shell.says("bundle", "inspect", bundle))
    assert told["key"] == shell.says("bundle", "key")
    assert told["rig"]["cameras"] == [camera.id for camera in world.rig.cameras]
    taken = shell.tells("bundle", "import", bundle, "--rig", rig, "--activate")
    assert (taken["rig"], taken["rig_registered"], taken["checkpoint"]["active"]) == (rig, False, True)
    cut = tmp_path / "cut"
    cut.write_bytes(Path(bundle).read_bytes()[:-1])
    for command in (("inspect", str(cut)), ("import", str(cut))):
        refused = shell.run("bundle", *command)
        assert refused.status == 1
        assert "signed" in refused.stderr


def test_poses(shell: Shell, files: Path, rig: str) -> None:
    sent = ("--heatmaps", str(files / "heatmaps.npz"), "--checkpoint", "none")
    assert json.loads(shell.says("poses", rig, *sent))["checkpoint"] == "none"
    assert "fused.npz" in shell.says("poses", rig, *sent, "--npz", str(files / "fused.npz"))
    assert (files / "fused.npz").read_bytes()[:2] == b"PK"


def test_keys_and_the_audit_trail(shell: Shell) -> None:
    made = shell.run("keys", "create", "door", "--scope", "read", "--studio", "north", "--days", "3")
    assert made.status == 0, made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("rf_")
    assert secret not in made.stderr
    key = next(key for key in shell.tells("keys", "list") if key["name"] == "door")
    assert (key["scopes"], key["studio"], key["state"]) == (["read"], "north", "active")
    assert secret not in shell.says("keys", "list")
    assert shell.run("rig", "list", RIGFUSE_API_KEY=secret).status == 0
    denied = shell.run("keys", "list", RIGFUSE_API_KEY=secret)
    assert (denied.status, denied.stdout) == (4, "")
    assert "admin" in denied.stderr
    shell.says("keys", "revoke", key["id"])
    assert json.loads(shell.says("keys", "show", key["id"]))["state"] == "revoked"
    refused = shell.run("rig", "list", RIGFUSE_API_KEY=secret)
    assert refused.status == 4
    assert "RIGFUSE_API_KEY" in refused.stderr
    assert {entry["action"] for entry in shell.tells("audit", "--subject", key["id"])} == {"key.created", "key.revoked"}
    assert "key.revoked" in shell.says("audit", "--subject", key["id"], "--limit", "1")


def test_workers(shell: Shell) -> None:
    assert shell.tells("workers") == []
    assert "worker" in shell.says("workers")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["rig", "show", "rig_0"], 1, "There is no rig 'rig_0'"),
        (["adaptations", "list", "--state", "odd"], 1, "query.state"),
        (["rig", "list", "--api-key", "wrong"], 4, "--api-key KEY, or RIGFUSE_API_KEY"),
        (["rig", "list", "--url", "http://127.0.0.1:9"], 3, "http://127.0.0.1:9 does not answer"),
        (["rig", "list", "--url", "127.0.0.1:9"], 2, "RIGFUSE_URL"),
        (["rig", "list", "--url", "ftp://127.0.0.1"], 2, "RIGFUSE_URL"),
        (["rig", "list", "--api-key", "schlüssel"], 2, "The API key holds a character"),
        (["rig", "show", ""], 2, "An id is empty"),
        (["adapt", "rig_0", "cap_0", "--options", '{"steps": NaN}'], 2, "cannot be sent"),
        (["keys", "create", "x", "--days", "0"], 2, "--days"),
        (["adapt", "rig_0", "cap_0", "--priority", "now"], 1, "priority"),
    ],
)
def test_what_goes_wrong_ends_with_a_sentence_and_a_status(
    shell: Shell, arguments: list[str], status: int, sentence: str
) -> None:
    done = shell.run(*arguments)
    assert done.status == status, done.stderr
    assert sentence in done.stderr
    assert done.stdout == ""


def test_an_empty_file_is_told_as_such_before_anything_is_sent(shell: Shell, files: Path, rig: str) -> None:
    empty = files / "empty.npz"
    empty.touch()
    sent = ("--labels", str(files / "labels.json"), "--heatmaps", str(empty), "--resumable")
    done = shell.run("capture", "upload", rig, *sent)
    assert (done.status, done.stderr) == (2, f"rigfuse: {empty} is empty.\n")


@pytest.mark.parametrize("detail", ["It broke. The log tells more under abc.", "It broke."])
def test_what_the_log_knows_a_failure_by_is_told_once(detail: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_sentence():
        raise ApiError(500, "internal_error", detail, request_id="abc")
    assert capsys.readouterr().err.count("abc") == 1


def test_a_script_of_bash_completes_commands_and_options(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("rigfuse")
    script = tmp_path / "complete.sh"
    script.write_text(
        f"""set -e
source <({program} completion bash)
complete -p rigfuse | grep -q _rigfuse_completion
COMP_WORDS=(rigfuse check); COMP_CWORD=1; _rigfuse_completion {program}; echo "${{COMPREPLY[@]}}"
COMP_WORDS=(rigfuse capture upload --lab); COMP_CWORD=3; _rigfuse_completion {program}; echo "${{COMPREPLY[@]}}"
"""
    )
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["checkpoints", "--labels"]

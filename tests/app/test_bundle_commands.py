"""``rigfuse bundle``: export, look at, import."""

import json
from pathlib import Path

import pytest
from running import Service
from stored import checkpoint_of, store
from typer.testing import CliRunner

from app.client import ApiError
from app.commands.bundles import commands
from models.worlds import World


def rigfuse(*arguments: str) -> str:
    """What it prints, without the log of the service, which runs in this process too."""
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return "\n".join(line for line in done.stdout.splitlines() if '"event"' not in line)


def test_a_bundle_is_exported_looked_at_and_imported(service: Service, world: World, tmp_path: Path) -> None:
    url = ("--url", str(service.client.base_url))
    rig = service.register(world, "stage nine")
    checkpoint = store(service, rig, checkpoint_of(world.rig, gain=1.91), activate=False)
    file = tmp_path / "stage.safetensors"
    assert rigfuse("export", checkpoint, str(file), *url) == str(file)
    told = json.loads(rigfuse("inspect", str(file), "--json"))
    assert told["rig"] == {"name": "stage nine", "cameras": [camera.id for camera in world.rig.cameras]}
    assert told["digests"]["rig"] == world.rig.digest
    assert told["key"] == json.loads(rigfuse("key", "--json", *url))["public_key"]
    assert rigfuse("import", str(file), "--rig", rig, *url) == checkpoint
    answer = json.loads(rigfuse("import", str(file), "--rig", rig, "--activate", "--json", *url))
    assert (answer["checkpoint_registered"], answer["checkpoint"]["active"]) == (False, True)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ApiError) as refused:
        rigfuse("import", str(file), *url)
    assert refused.value.code == "bundle_digest"

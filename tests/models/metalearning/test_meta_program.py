"""``python -m models.metalearning`` as it is started by hand and by torchrun."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.metalearning import Schedule, Worlds, train
from models.metalearning.__main__ import main
from models.metalearning.plot import plot
from models.weights import default_omega, load_omega

ROOT = Path(__file__).parents[3]
TINY = Schedule(name="tiny", steps=2, rigs=2, seed=3, worlds=Worlds(cameras=(2,), work=2, frames=1))
CONFIG = 'name = "tiny"\nsteps = 2\nrigs = 2\nseed = 3\n[worlds]\ncameras = [2]\nwork = 2\nframes = 1\n'


def start(folder, *arguments, **variables):
    (folder / "tiny.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "models.metalearning", "--config", str(folder / "tiny.toml"), "--out", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    return subprocess.Popen(
        [*command, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_two_processes_end_as_one_that_sees_the_rigs_of_both(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    both = [start(tmp_path, RANK=rank, LOCAL_RANK=rank, **where) for rank in ("0", "1")]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    together, alone = load_omega(tmp_path), train(TINY)
    np.testing.assert_allclose(together.values, alone.values, atol=1e-6)
    assert together.gains == pytest.approx(alone.gains, rel=1e-5)
    assert json.loads((tmp_path / "omega_base.json").read_text())["processes"] == 2


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the program in this process, as it is started by hand."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)

    def started(*arguments):
        (tmp_path / "tiny.toml").write_text(CONFIG)
        words = ["metalearning", "--config", str(tmp_path / "tiny.toml"), "--out", str(tmp_path), *arguments]
        monkeypatch.setattr(sys, "argv", words)
        main()

    return started


def test_the_manifest_says_all_that_a_rebuild_needs_and_a_picture_is_drawn(tmp_path, run, capsys):
    pytest.importorskip("matplotlib")
    run("--plot", str(tmp_path / "figures" / "omega.png"))
    manifest = json.loads((tmp_path / "omega_base.json").read_text())
    assert manifest["schedule"]["worlds"]["cameras"] == [2]
    assert (manifest["rigs_seen"], manifest["schedule"]["seed"], manifest["device"][:3]) == (4, 3, "cpu")
    assert len(manifest["code"]["models_sha256"]) == 64
    assert len(manifest["curve"]["fused"]) == 2
    assert load_omega(tmp_path).digest == manifest["sha256"]
    assert (tmp_path / "figures" / "omega.png").read_bytes()[:4] == b"\x89PNG"
    assert manifest["sha256"] in capsys.readouterr().out.replace("\n", "")


def test_a_finished_run_that_is_resumed_writes_the_same_weights(tmp_path, run):
    run()
    before = load_omega(tmp_path)
    (tmp_path / "omega_base.safetensors").unlink()
    run("--resume")
    assert load_omega(tmp_path).digest == before.digest


def test_a_wrong_config_ends_with_one_sentence(run):
    with pytest.raises(SystemExit, match="config: steps, rigs, columns, work and frames are at least 1"):
        run("--steps", "0")


def test_a_gpu_that_is_not_there_is_named(run, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="no cuda:3"):
        run("--device", "cuda:3")


def test_the_picture_of_what_ships_is_drawn_from_its_manifest(tmp_path):
    pytest.importorskip("matplotlib")
    manifest = {"curve": {"fused": [0.1, 0.05], "no_fusion": [0.2, 0.2], "steps_per_point": 3}}
    plot(default_omega(), manifest, tmp_path / "a.png")
    plot(default_omega(), manifest | {"curve": manifest["curve"] | {"fused": [0.1, 0.1]}}, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()

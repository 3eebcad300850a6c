import json
from functools import partial

import pytest
from stick_figures import two_cameras, write_capture

from models.backbone import Backbone
from models.simplebaseline import Architecture
from models.warmup import main


def test_a_capture_becomes_a_backbone_that_serves(tmp_path, capsys, monkeypatch):
    """One epoch of the smallest body, with few channels, on a few views."""
    monkeypatch.setattr("models.warmup.Architecture", partial(Architecture, width=8, deconvolution=16))
    files = [str(path) for path in write_capture(tmp_path, two_cameras("panoptic19"), frames=8)]
    out = tmp_path / "out"
    command = ["--capture", *files, "--out", str(out), "--epochs", "1", "--batch", "4"]
    command += ["--hold-out", "0.8", "--depth", "26"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "epoch 1: rate 1e-03" in told
    assert f"RIGFUSE_BACKBONE_MANIFEST={out / 'simplebaseline.json'}" in told
    assert Backbone.load(out / "simplebaseline.json").skeleton == "panoptic19"
    provenance = json.loads((out / "simplebaseline.json").read_text())["provenance"]
    assert 4 <= provenance["views"]["trained_on"] < provenance["views"]["held_out"]
    assert [row["epoch"] for row in provenance["curve"]] == [1]
    assert provenance["architecture"]["blocks"] == [2, 2, 2, 2]
    assert str(tmp_path) not in json.dumps(provenance)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Nothing to train on"),
        (["--imagenet", "labels.json"], "holds no weights that torch can read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    write_capture(tmp_path, two_cameras())
    files = ["--capture", "rig.json", "labels.json", "frames"] if options else []
    assert main([*files, *options, "--out", "out"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1

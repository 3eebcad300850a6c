import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import save

from models.affine import transform
from models.errors import CorruptArtifact
from models.starts import Start, load_start, same_row, save_start, shipped_start
from models.weights import FOLDER

SHIPPED = ("metafuse_paper", "affinefuse")


def test_before_training_every_pixel_looks_along_its_own_row():
    start = same_row(16.0, 3.0, 0.05)
    for pixel in (64 * 10 + 5, 64 * 40 + 60):
        weights = transform(start.omega, start.theta[pixel]).reshape(64, 64)
        rows = weights[:, 20:44].mean(1)
        assert rows.argmax() == pixel // 64
        assert rows.max() == pytest.approx(0.05, rel=0.02)
        assert rows[pixel // 64 + 3] == pytest.approx(0.05 * np.exp(-0.5), rel=0.05)


def test_a_start_is_read_back_as_it_was_written(tmp_path, rng):
    start = Start(*(rng.normal(size=shape).astype(np.float32) for shape in ((4096, 2, 3), (64, 64))))
    digest = save_start(start, tmp_path / "new", "some", {"seed": 7})
    read = load_start("some", tmp_path / "new")
    np.testing.assert_array_equal(read.theta, start.theta)
    np.testing.assert_array_equal(read.omega, start.omega)
    assert read.digest == digest
    assert json.loads((tmp_path / "new" / "some.json").read_text())["seed"] == 7


def test_changed_bytes_are_refused(tmp_path):
    save_start(same_row(16.0, 3.0, 0.05), tmp_path, "some", {})
    file = tmp_path / "some.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptArtifact, match="SHA-256"):
        load_start("some", tmp_path)


@pytest.mark.parametrize(
    "tensors", [{"theta": np.zeros((4096, 2, 3))}, {"theta": np.zeros(3), "omega_base": np.eye(2)}]
)
def test_what_is_no_start_is_refused(tmp_path, tensors):
    save_start(same_row(16.0, 3.0, 0.05), tmp_path, "some", {})
    data = save(tensors)
    (tmp_path / "some.safetensors").write_bytes(data)
    manifest = json.loads((tmp_path / "some.json").read_text())
    (tmp_path / "some.json").write_text(json.dumps(manifest | {"sha256": hashlib.sha256(data).hexdigest()}))
    with pytest.raises(CorruptArtifact, match="holds"):
        load_start("some", tmp_path)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_says_where_it_comes_from_and_has_learned(name):
    start, manifest = shipped_start(name), json.loads((FOLDER / f"{name}.json").read_text())
    assert start is shipped_start(name)
    assert manifest["sha256"] == start.digest
    assert {"schedule", "curve", "seconds", "torch", "loss", "code_version", "data"} <= manifest.keys()
    curve = manifest["curve"]["test_loss"]
    assert np.mean(curve[-3:]) < curve[0] < 1.2

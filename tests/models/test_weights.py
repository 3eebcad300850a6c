import hashlib
import json

import numpy as np
import pytest

from models.errors import CorruptArtifact
from models.pair_weights import OmegaBase
from models.weights import FOLDER, default_omega, load_omega, save_omega

OMEGA = OmegaBase(np.linspace(-1, 1, 4096, dtype=np.float32).reshape(64, 64), (0.5, 1.25), 3.5)


def test_omega_is_read_back_as_it_was_written(tmp_path):
    digest = save_omega(OMEGA, tmp_path, {"seed": 7})
    read = load_omega(tmp_path)
    np.testing.assert_array_equal(read.values, OMEGA.values)
    assert (read.gains, read.sharpness, read.digest) == (OMEGA.gains, OMEGA.sharpness, digest)
    manifest = json.loads((tmp_path / "omega_base.json").read_text())
    assert manifest["sha256"] == hashlib.sha256((tmp_path / "omega_base.safetensors").read_bytes()).hexdigest()
    assert (manifest["shape"], manifest["seed"]) == ([64, 64], 7)


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: d[:-1] + bytes([d[-1] ^ 1]), lambda _: b"", lambda d: d + b" "]
)
def test_changed_weights_are_refused(tmp_path, change):
    save_omega(OMEGA, tmp_path, {})
    file = tmp_path / "omega_base.safetensors"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(CorruptArtifact, match="SHA-256"):
        load_omega(tmp_path)


def test_what_ships_is_a_ridge_that_fades_and_knows_no_direction():
    omega = default_omega()
    assert omega is default_omega()
    np.testing.assert_allclose(omega.values[::-1, ::-1], omega.values, atol=1e-6)
    rows = omega.values.mean(1)
    assert rows[31:33].min() > 3 * np.abs(rows[[0, 8, 55, 63]]).max()
    assert min(omega.gains) > 0
    assert len(omega.digest) == 64
    assert {"schedule", "curve", "torch"} <= json.loads((FOLDER / "omega_base.json").read_text()).keys()

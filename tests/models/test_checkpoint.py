import json
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_rigs import studio
from safetensors.numpy import load, save

from models.checkpoint import Checkpoint, _digest
from models.errors import CheckpointMismatch, CorruptArtifact
from models.pair_weights import OmegaBase


def small():
    """A checkpoint of two cameras whose numbers are of no use."""
    rng = np.random.default_rng(0)
    omega = OmegaBase(rng.normal(size=(64, 64)).astype(np.float32), (0.5, 1.5), 2.5, "ω-digest")
    return Checkpoint(
        method="metafuse", seed=3, rig_digest="r" * 64, capture_digest="c" * 64, omega=omega,
        theta=rng.normal(size=(2, 64, 64, 2, 3)).astype(np.float32), gains=np.array([0.5, 2], np.float32),
        R=np.stack([np.eye(3)] * 2), t=rng.normal(size=(2, 3)), repaired=True, project=False,
        metrics={"promoted": True, "reason": "θ"}, lineage={"frames": 50},
    )  # fmt: skip


DATA = small().to_bytes()


def same(a, b):
    for field in fields(Checkpoint):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, OmegaBase):
            np.testing.assert_array_equal(one.values, other.values)
            assert (one.gains, one.sharpness, one.digest) == (other.gains, other.sharpness, other.digest)
        elif isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        else:
            assert one == other
    return True


def test_a_checkpoint_survives_its_bytes():
    assert same(Checkpoint.from_bytes(DATA), small())
    assert Checkpoint.from_bytes(DATA).to_bytes() == DATA


def test_an_adapted_checkpoint_survives_its_bytes(checkpoint):
    assert same(Checkpoint.from_bytes(checkpoint.to_bytes()), checkpoint)


def test_the_manifest_is_json_and_tells_where_it_comes_from(checkpoint, rig):
    manifest = json.loads(json.dumps(checkpoint.manifest(), allow_nan=False))
    assert manifest["digests"] == {"rig": rig.digest, "capture": "capture", "omega_base": checkpoint.omega.digest}
    assert (manifest["method"], manifest["seed"], manifest["lineage"]["frames"]) == ("metafuse", 3, 24)
    assert manifest["metrics"] == checkpoint.metrics


def refused(data):
    with pytest.raises(CorruptArtifact):
        Checkpoint.from_bytes(data)


@given(length=st.integers(0, len(DATA) - 1))
def test_truncated_bytes_are_corrupt(length):
    refused(DATA[:length])


HEADER = 8 + int.from_bytes(DATA[:8], "little")


@given(place=st.integers(0, HEADER - 1) | st.integers(0, len(DATA) - 1), mask=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_corrupt_or_says_the_same(place, mask):
    changed = bytearray(DATA)
    changed[place] ^= mask
    try:
        read = Checkpoint.from_bytes(bytes(changed))
    except CorruptArtifact:
        return
    assert same(read, small())


def test_a_changed_weight_is_corrupt():
    for place in (len(DATA) - 1, len(DATA) - 200):
        refused(DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :])


@given(data=st.binary(max_size=300))
def test_any_other_bytes_are_corrupt(data):
    refused(data)


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


def resealed(change):
    """A file of another maker: its digest right, its content not."""
    tensors, header = load(DATA), json.loads(DATA[8 : 8 + int.from_bytes(DATA[:8], "little")])
    manifest = json.loads(header["__metadata__"]["manifest"])
    del manifest["sha256"]
    change(tensors, manifest)
    return save(tensors, {"manifest": json.dumps(manifest | {"sha256": _digest(manifest, tensors)})})


def test_resealing_alone_leaves_a_checkpoint():
    assert same(Checkpoint.from_bytes(resealed(lambda *_: None)), small())


FOREIGN = {
    "a pickle": lambda: pickle.dumps({"theta": np.zeros(3), "trap": Trap}),
    "a running pickle": lambda: pickle.dumps(Trap()),
    "no manifest": lambda: save({"theta": np.zeros(3)}),
    "no digest": lambda: save({"theta": np.zeros(3)}, {"manifest": "{}"}),
    "another format": lambda: resealed(lambda _, m: m.update(format=2)),
    "another pooling": lambda: resealed(lambda _, m: m.update(pooling="mean")),
    "a list": lambda: save(load(DATA), {"manifest": "[]"}),
    "deep": lambda: save(load(DATA), {"manifest": "[" * 100_000}),
    "no json": lambda: save(load(DATA), {"manifest": "format"}),
    "no θ": lambda: resealed(lambda t, _: t.pop("theta") is None),
    "no seed": lambda: resealed(lambda _, m: m.pop("seed") is None),
    "digests of another kind": lambda: resealed(lambda _, m: m.update(digests="none")),
    "three rounds": lambda: resealed(lambda t, _: t.update(omega_gains=np.ones(3))),
    "no sharpness": lambda: resealed(lambda t, _: t.update(omega_sharpness=np.zeros(0))),
    "a header that never ends": lambda: (2**63).to_bytes(8, "little") + DATA[8:],
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_checkpoint_is_corrupt_and_never_run(kind):
    refused(FOREIGN[kind]())


def test_metrics_that_are_not_json_are_not_written():
    with pytest.raises(ValueError, match="JSON"):
        replace(small(), metrics={"jdr": float("nan")}).to_bytes()


def test_a_checkpoint_fits_its_own_rig_only(checkpoint, rig):
    np.testing.assert_array_equal(checkpoint.rig(rig).cameras[1].R, checkpoint.R[1])
    assert checkpoint.rig(rig).views is rig.views
    with pytest.raises(CheckpointMismatch):
        checkpoint.rig(studio(4, up=None))


def test_a_checkpoint_fits_its_own_joints_only(checkpoint, rig):
    assert len(checkpoint.limbs) == len(rig.skeleton.limbs)
    with pytest.raises(CheckpointMismatch, match="limb lengths"):
        replace(checkpoint, limbs=checkpoint.limbs[:-1]).rig(rig)


def test_promoted_is_what_the_metrics_say():
    assert small().promoted is True
    assert replace(small(), metrics={}).promoted is False

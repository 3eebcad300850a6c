"""The bytes of a bundle: they hold all, can be read as safetensors, and whoever changes one of them is found out."""

import hashlib
import json
from functools import cache

import payloads
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load
from stored import checkpoint_of

from app.bundles.format import read, write
from models.errors import InvalidInput

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUSTED = frozenset({KEY.public_key().public_bytes_raw().hex()})
ARTIFACT = b"\x40" + bytes(7) + b'{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.ljust(64) + bytes(range(8))
STATEMENT = {
    "exported_at": "2026-05-04T03:02:01+00:00",
    "rig": {"name": "Halle 1 »süd«", "document": {"joints": "coco17"}},
    "manifest": {"seed": 1, "metrics": {"jdr": 0.25}},
    "digests": {"rig": "a" * 64, "artifact": hashlib.sha256(ARTIFACT).hexdigest()},
}


def small() -> bytes:
    return write(STATEMENT, ARTIFACT, KEY)


@cache
def real() -> bytes:
    rig = payloads.world().rig
    artifact = checkpoint_of(rig).to_bytes()
    digests = {"rig": rig.digest, "artifact": hashlib.sha256(artifact).hexdigest()}
    return write({**STATEMENT, "digests": digests}, artifact, KEY)


def code_of(data: bytes, trusted: frozenset[str] = TRUSTED) -> str:
    with pytest.raises(InvalidInput) as refused:
        read(data, trusted)
    assert refused.value.at == "bundle"
    return refused.value.code


def test_what_is_written_is_read() -> None:
    bundle = read(small(), TRUSTED)
    assert (bundle.artifact, bundle.sha256) == (ARTIFACT, hashlib.sha256(small()).hexdigest())
    assert bundle.statement.rig.name == "Halle 1 »süd«"
    assert bundle.statement.manifest == STATEMENT["manifest"]


def test_any_reader_of_safetensors_finds_the_tensors() -> None:
    bundle = read(real(), TRUSTED)
    tensors, original = load(real()), load(bundle.artifact)
    assert tensors.keys() == original.keys()
    assert all((tensors[name] == original[name]).all() for name in tensors)


def test_every_changed_byte_of_a_small_bundle_is_found_out() -> None:
    data = small()
    codes = set()
    for place in range(len(data)):
        for flip in (0x01, 0x20):  # another digit, another case
            changed = bytearray(data)
            changed[place] ^= flip
            codes.add(code_of(bytes(changed)))
    known = {"invalid_bundle", "bundle_format", "bundle_untrusted", "bundle_signature", "bundle_digest"}
    assert codes <= known
    assert {"invalid_bundle", "bundle_signature", "bundle_digest", "bundle_untrusted"} <= codes


@pytest.mark.parametrize("value", ['"\\ud800"', "1e999"])
def test_what_json_can_spell_and_nobody_can_write_again_is_refused(value: str) -> None:
    data = small()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    said = header["__metadata__"]["bundle"].replace('"coco17"', value)
    changed = json.dumps({**header, "__metadata__": {"bundle": said}}).encode()
    assert code_of(len(changed).to_bytes(8, "little") + changed + data[-8:]) == "invalid_bundle"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_real_bundle_that_was_changed_or_cut_is_refused(data: st.DataObject) -> None:
    whole = real()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    code_of(bytes(changed))
    code_of(whole[:place])
    code_of(whole + bytes([data.draw(st.integers(0, 255))]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02" + bytes(7) + b"{}",
        b"\xff" * 64,
        (1 << 40).to_bytes(8, "little") + b"{",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        b"\x1c" + bytes(7) + b'{"__metadata__":{"bundle":1}}',
        ARTIFACT,
    ],
)
def test_what_is_no_bundle_is_told(data: bytes) -> None:
    assert code_of(data) == "invalid_bundle"


def test_a_key_that_nobody_trusts_is_told_before_its_signature_is_looked_at() -> None:
    assert code_of(small(), frozenset()) == "bundle_untrusted"
    assert code_of(small(), frozenset({"0" * 64})) == "bundle_untrusted"


def test_a_format_of_the_future_is_told() -> None:
    data = small().replace(b'\\"format\\":1', b'\\"format\\":2')
    assert code_of(data) == "bundle_format"


def test_a_signed_header_that_is_written_otherwise_is_refused() -> None:
    data = small()
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length])).encode()  # the same, with spaces
    assert code_of(len(header).to_bytes(8, "little") + header + data[8 + length :]) == "invalid_bundle"


def test_one_may_look_at_what_a_stranger_signed_but_not_at_what_was_changed() -> None:
    assert read(small(), None).statement.digests.rig == "a" * 64
    with pytest.raises(InvalidInput) as refused:
        read(small().replace(b"coco17", b"coco16"), None)
    assert refused.value.code == "bundle_signature"

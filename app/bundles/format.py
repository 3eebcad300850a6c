"""The bytes of a bundle: a safetensors file that says all of itself in its header, and signs it.

The tensors lie as they do in the checkpoint's artifact; ``__metadata__.bundle`` is a JSON document with the rig, the
manifest, digests, the header of the artifact and the signature. So the artifact can be put together again to its last
byte, and there is only one way to write a bundle: what is read is written again, and must be the same bytes.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.wire import Time
from models.errors import InvalidInput

FORMAT = 1
MAX_HEADER_BYTES = 32 << 20
_HEX32 = r"^[0-9a-f]{64}$"
_HEX64 = r"^[0-9a-f]{128}$"


class BundledRig(BaseModel):
    """The rig's name and calibration, as `POST /v1/rigs` takes them."""

    model_config = ConfigDict(extra="forbid")

    name: str
    document: dict[str, Any]


class Digests(BaseModel):
    """SHA-256 of the rig's calibration and of the checkpoint's artifact."""

    model_config = ConfigDict(extra="forbid")

    rig: str = Field(pattern=_HEX32)
    artifact: str = Field(pattern=_HEX32)


class Statement(BaseModel):
    """All that a bundle says of itself; ``signature`` is of everything else."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int
    exported_at: Time = Field(strict=False)
    rig: BundledRig
    manifest: dict[str, Any] = Field(description="of the checkpoint: lineage, digests, what was measured")
    digests: Digests
    artifact_header: str
    key: str = Field(pattern=_HEX32, description="public key of the deployment that signed it")
    signature: str = Field(pattern=_HEX64)


@dataclass(frozen=True)
class Bundle:
    """A bundle that is whole and signed: what it says, the checkpoint's artifact, and its own digest."""

    statement: Statement
    artifact: bytes
    sha256: str


def write(unsigned: dict[str, Any], artifact: bytes, key: Ed25519PrivateKey) -> bytes:
    """A bundle of the artifact; ``unsigned`` is the statement without format, header, key and signature."""
    length = int.from_bytes(artifact[:8], "little")
    document = {
        **unsigned,
        "format": FORMAT,
        "artifact_header": artifact[8 : 8 + length].decode(),
        "key": key.public_key().public_bytes_raw().hex(),
    }
    signed = {**document, "signature": key.sign(_canonical(document)).hex()}
    return _assemble(signed, artifact[8 + length :])


def read(data: bytes, trusted: frozenset[str] | None) -> Bundle:
    """Read a bundle, signed with any key where ``trusted`` is None, to look at it.

    Raises InvalidInput with a code for each thing that may be wrong with it.
    """
    document, body = _split(data)
    if document.get("format") != FORMAT:
        _refuse("bundle_format", f"It has format {document.get('format')!r:.40}; this service reads format {FORMAT}.")
    try:
        statement = Statement.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in fault["loc"])
        _refuse("invalid_bundle", f"What it says of itself is wrong in {place!r}: {fault['msg']}.")
    _check_signature(document, statement, trusted)
    header = statement.artifact_header.encode()
    artifact = len(header).to_bytes(8, "little") + header + body
    if hashlib.sha256(artifact).hexdigest() != statement.digests.artifact:
        _refuse("bundle_digest", "Its tensors are not those that were signed.")
    if _assemble(document, body) != data:
        _refuse("invalid_bundle", "Its header is not written as a bundle's header is.")
    return Bundle(statement, artifact, hashlib.sha256(data).hexdigest())


def fingerprint(public_key: str) -> str:
    """The short name of a key, for people and for the lineage: SHA-256 of its 32 bytes."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()


def _check_signature(document: dict[str, Any], statement: Statement, trusted: frozenset[str] | None) -> None:
    if trusted is not None and statement.key not in trusted:
        _refuse(
            "bundle_untrusted",
            f"It is signed with the key {statement.key}, which this service does not trust: an operator adds it to "
            "RIGFUSE_TRUSTED_KEYS.",
        )
    signed = {name: value for name, value in document.items() if name != "signature"}
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(statement.key))
        key.verify(bytes.fromhex(statement.signature), _canonical(signed))
    except InvalidSignature:
        _refuse("bundle_signature", "Its signature is not of what it says: it was changed after it was signed.")
    except ValueError:  # half a character or a number without end, which JSON can spell
        _refuse("invalid_bundle", "What it says of itself holds a character or number that cannot be.")


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """What the bundle says of itself, and the bytes of its tensors."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(len(data) - 8, MAX_HEADER_BYTES):
        _refuse("invalid_bundle", "This is not a bundle: it does not begin as a safetensors file does.")
    try:
        document = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["bundle"], parse_constant=_no_constant)
    except (ValueError, LookupError, TypeError, RecursionError):
        _refuse("invalid_bundle", "This is not a bundle: its header does not say so.")
    if not isinstance(document, dict):
        _refuse("invalid_bundle", "This is not a bundle: its header does not say so.")
    return document, data[8 + length :]


def _assemble(document: dict[str, Any], body: bytes) -> bytes:
    try:
        tensors = json.loads(document["artifact_header"])
        text = _canonical({**tensors, "__metadata__": {"bundle": _canonical(document).decode()}})
    except (ValueError, TypeError, RecursionError):
        _refuse("invalid_bundle", "The header of its checkpoint cannot be read.")
    text += b" " * (-len(text) % 8)  # safetensors wants the tensors aligned
    return len(text).to_bytes(8, "little") + text + body


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refuse(code: str, why: str) -> NoReturn:
    raise InvalidInput(f"The bundle cannot be taken. {why}", at="bundle", code=code)

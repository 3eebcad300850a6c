"""The deployment's own key, made at its first use, and the keys of others that it trusts."""

import contextlib
import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.errors import MisconfiguredService
from app.settings import Settings

_AT = "RIGFUSE_SIGNING_KEY_FILE"


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The key that signs this deployment's bundles; made where there is none, readable by its owner alone."""
    path = settings.signing_key_file or settings.data_dir / "signing-key.pem"
    try:
        if not path.exists():
            _make(path)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise MisconfiguredService(f"The signing key {path} cannot be read: {error.strerror}.", at=_AT) from error
    except (ValueError, TypeError) as error:
        raise MisconfiguredService(f"{path} does not hold a private key without a password.", at=_AT) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise MisconfiguredService(f"{path} holds a key of another kind than Ed25519.", at=_AT)
    return key


def public_key(key: Ed25519PrivateKey) -> str:
    """The public half, 64 hexadecimal digits: what others add to RIGFUSE_TRUSTED_KEYS."""
    return key.public_key().public_bytes_raw().hex()


def trusted_keys(settings: Settings) -> frozenset[str]:
    """Public keys whose bundles are taken: the own one, and those that the settings name."""
    return frozenset({public_key(signing_key(settings)), *settings.trusted_keys})


def _make(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # of mode 600
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(pem)
            handle.flush()
            os.fsync(handle.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(name, path)
    finally:
        Path(name).unlink()

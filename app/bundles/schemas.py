"""Bundles on the wire."""

from pydantic import BaseModel, Field

from app.checkpoints.schemas import Checkpoint
from app.uploads import multipart_body

BUNDLE_BODY = multipart_body({"bundle": "what `GET /v1/checkpoints/{id}/bundle` answered"}, required=["bundle"])


class SigningKey(BaseModel):
    """The key that signs this deployment's bundles."""

    algorithm: str = "ed25519"
    public_key: str = Field(description="hexadecimal; others add it to RIGFUSE_TRUSTED_KEYS")
    fingerprint: str = Field(description="SHA-256 of the public key; what imported checkpoints name as their origin")


class Imported(BaseModel):
    """What became of a bundle."""

    rig: str
    rig_registered: bool = Field(description="false where a rig of the same calibration was there")
    checkpoint: Checkpoint
    checkpoint_registered: bool = Field(description="false where the rig had the same checkpoint already")
